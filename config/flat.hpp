// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/fields.hpp"

namespace edgeproxy::config {

/// One written value with its place in the plan.
struct FlatValue {
    std::string path;   ///< with the names that the user chose
    std::string value;  ///< as one would write it
    std::string thing;  ///< path of the named thing around it, the innermost; empty = none
    const Field* field = nullptr;
    bool secret = false;
};

/// All values of a plan as a list: the third user of `fields`, beside Section and YamlWriter.
class Flat {
 public:
    static constexpr bool reads = false;

    Flat(std::vector<FlatValue>& values, std::vector<std::string>& things) : values_(values), things_(things) {}

    void trait(std::string_view, bool) {}
    bool has_trait(std::string_view) const { return false; }
    bool keeps(const Tls&) const { return true; }
    void resolve(Pool&) {}
    void default_protocols(const std::vector<Protocol>&) {}
    void own_tls(Listener& listener) {
        if (!listener.own_tls) return (*this)("tls", listener.tls);
        const Place before = enter("tls", path_of("tls"), thing_);
        fields(*this, *listener.own_tls);
        leave(before);
    }

    template <class T>
    void operator()(std::string_view key, const T& value) {
        add(key, write_value(field(key), value));
    }
    template <class T>
    void operator()(std::string_view key, const std::vector<T>& list) {
        std::string joined;
        for (const T& value : list) joined += (joined.empty() ? "" : ", ") + write_value(field(key), value);
        add(key, joined);
    }
    void operator()(std::string_view key, const std::map<std::string, std::string>& map) {
        for (const auto& [name, value] : map)
            values_.push_back({path_of(key) + "." + name, value, thing_, &field(key), true});
    }
    template <class Read, class Write>
    void custom(std::string_view key, const Read&, Write write) {
        add(key, write(field(key)));
    }
    template <class Body>
    void nest(std::string_view key, Body body) {
        const Place before = enter(row_of(key), path_of(key), thing_);
        body(*this);
        leave(before);
    }
    template <class Struct>
    void section(std::string_view key, Struct& value) {
        nest(key, [&](Flat& io) { fields(io, value); });
    }
    template <class Struct>
    void optional(std::string_view key, std::optional<Struct>& value) {
        if (value) section(key, *value);
    }
    template <class Struct>
    void list(std::string_view key, std::vector<Struct>& values) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::string path = path_of(key) + "[" + std::to_string(i) + "]";
            if constexpr (requires { values[i].name; }) {
                if (!values[i].name.empty()) path = path_of(key) + "." + values[i].name;
            }
            within(row_of(key) + "[]", path, values[i]);
        }
    }
    template <class Struct>
    void named(std::string_view key, std::vector<Struct>& values) {
        for (Struct& value : values) within(row_of(key) + ".<name>", path_of(key) + "." + value.name, value);
    }
    void worker(Pool& pool) {
        if (!pool.managed) return;
        (*this)("command", pool.command.argv);
        auto kind = static_cast<KindChoice>(pool.command.kind);
        auto bind = static_cast<BindChoice>(pool.command.bind);
        fields(*this, pool.command, kind, bind);
    }

 private:
    struct Place {
        std::string row, path, thing;
    };

    std::string row_of(std::string_view key) const {
        return row_.empty() ? std::string(key) : row_ + "." + std::string(key);
    }
    std::string path_of(std::string_view key) const {
        return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
    }
    const Field& field(std::string_view key) const;
    void add(std::string_view key, std::string value) {
        values_.push_back({path_of(key), std::move(value), thing_, &field(key), false});
    }
    template <class Struct>
    void within(std::string row, const std::string& path, Struct& value) {
        things_.push_back(path);
        const Place before = enter(std::move(row), path, path);
        fields(*this, value);
        leave(before);
    }
    Place enter(std::string row, std::string path, std::string thing) {
        return {std::exchange(row_, std::move(row)), std::exchange(path_, std::move(path)),
                std::exchange(thing_, std::move(thing))};
    }
    void leave(const Place& before) {
        row_ = before.row;
        path_ = before.path;
        thing_ = before.thing;
    }

    std::vector<FlatValue>& values_;
    std::vector<std::string>& things_;
    std::string row_, path_, thing_;
};

}  // namespace edgeproxy::config
