// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/load.hpp"
#include "config/values.hpp"

namespace edgeproxy::config {

/// Writes a struct as YAML, key by key: the counterpart of Section, called by the same `fields`.
class YamlWriter {
 public:
    static constexpr bool reads = false;

    YamlWriter(const DumpOptions& options, std::string row, unsigned depth)
        : options_(options), row_(std::move(row)), depth_(depth) {}

    const std::string& text() const { return text_; }

    void trait(std::string_view, bool) {}
    bool has_trait(std::string_view) const { return false; }

    template <class T>
    void operator()(std::string_view key, const T& value) {
        const Field& row = field(key);
        line(key, row, write_value(row, value));
    }
    template <class T>
    void operator()(std::string_view key, const std::vector<T>& list) {
        const Field& row = field(key);
        std::vector<std::string> texts;
        for (const T& value : list) texts.push_back(write_value(row, value));
        flow(key, texts);
    }
    void operator()(std::string_view key, const std::map<std::string, std::string>& map);

    template <class Read, class Write>
    void custom(std::string_view key, const Read&, Write write) {
        const Field& row = field(key);
        line(key, row, write(row));
    }
    template <class Body>
    void nest(std::string_view key, Body body) {
        YamlWriter child(options_, row_of(key), depth_ + 1);
        body(child);
        attach(key, child);
    }
    template <class Struct>
    void section(std::string_view key, Struct& value) {
        nest(key, [&](YamlWriter& child) { fields(child, value); });
    }
    template <class Struct>
    void optional(std::string_view key, std::optional<Struct>& value) {
        if (value) section(key, *value);
    }
    template <class Struct>
    void list(std::string_view key, std::vector<Struct>& values) {
        YamlWriter children(options_, row_of(key) + "[]", depth_ + 1);
        for (Struct& value : values) {
            YamlWriter child(options_, children.row_, depth_ + 2);
            fields(child, value);
            children.element(child);
        }
        attach(key, children);
    }
    template <class Struct>
    void named(std::string_view key, std::vector<Struct>& values) {
        YamlWriter children(options_, row_of(key), depth_ + 1);
        for (Struct& value : values) {
            YamlWriter child(options_, row_of(key) + ".<name>", depth_ + 2);
            fields(child, value);
            children.attach(value.name, child);
        }
        attach(key, children);
    }

    void worker(Pool& pool);
    void resolve(Pool&) {}
    bool keeps(const Tls& tls) const { return tls.has_certificates(); }
    void own_tls(Listener& listener);
    void default_protocols(const std::vector<Protocol>&) {}

 private:
    std::string row_of(std::string_view key) const {
        return row_.empty() ? std::string(key) : row_ + "." + std::string(key);
    }
    const Field& field(std::string_view key) const;
    std::string indent() const { return std::string(depth_ * 2, ' '); }
    void line(std::string_view key, const Field& row, const std::string& value);
    void flow(std::string_view key, const std::vector<std::string>& texts);
    void attach(std::string_view key, const YamlWriter& child);
    void element(const YamlWriter& child);

    const DumpOptions& options_;
    std::string row_;
    unsigned depth_;
    std::string text_;
};

/// A text as a YAML scalar that reads back as the same text: plain where nothing in it could mean anything, else in
/// double quotes, each dollar doubled.
std::string yaml_scalar(std::string_view text);
/// The same for a key, in which a dollar is a dollar.
std::string yaml_key(std::string_view text);

}  // namespace edgeproxy::config
