// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/expand.hpp"
#include "config/field_table.hpp"
#include "config/load.hpp"
#include "config/problem.hpp"
#include "config/reader.hpp"
#include "config/values.hpp"

namespace edgeproxy::config {

/// What all sections of one file share while it is loaded. Paths are the plan's: "pools.web.queue.size",
/// "routes[2].pool".
struct Scope {
    Scope(Problems& all_problems, const LoadOptions& load_options, std::string directory);
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    Problems& problems;
    const LoadOptions& options;
    Lookup environment;
    ValueContext values;
    std::set<std::string, std::less<>>
        puzzling;  ///< sections with unknown keys: what seems to miss may be there, misspelt
    std::map<std::string, Place, std::less<>> places;               ///< of the values that were written
    std::map<std::string, std::string, std::less<>> computed;       ///< defaults that follow from other values, by path
    std::string alpn;                                               ///< `tls.alpn`, as a default is written
    std::map<std::string, std::string, std::less<>> command_texts;  ///< commands written as one text, by path
    std::map<std::string, std::string, std::less<>>
        shown;  ///< paths that came from a short form, and how that is written

    /// Where to point at for a path: its own place, else that of the nearest section around it.
    Place place_of(std::string_view path) const;
    bool written(std::string_view path) const { return places.contains(path); }
    /// The path as the file has it: "app.workers" for "pools.app.workers" where `app` was written.
    std::string shown_path(std::string_view path) const;
    /// The variables put in; what goes wrong is reported.
    Expanded expanded(const Node& scalar);
};

/// Reads one map of the file into a struct, as the field table says. The struct's keys come from `fields` (fields.hpp),
/// which calls these functions once for each key; YamlWriter has the same ones for the way back.
class Section {
 public:
    using Traits = std::vector<std::string_view>;
    static constexpr bool reads = true;

    /// `node` is null or a map; unknown and unsupported keys in it are reported here. `row` is the section in the field
    /// table.
    Section(Scope& scope, NodePtr node, std::string row, std::string path, Traits traits);

    Scope& scope() { return scope_; }
    const std::string& path() const { return path_; }
    bool written(std::string_view key) const { return entry(key) != nullptr; }

    /// A trait selects among the defaults of the keys that follow, here and in the sections within.
    void trait(std::string_view name, bool holds);
    bool has_trait(std::string_view name) const;

    /// One value, or a list of them.
    template <class T>
    void operator()(std::string_view key, T& value) {
        const Field& row = field(key);
        if (const auto text = scalar(key, row)) judge(*text, read_value(scope_.values, row, text->value, value));
    }
    template <class T>
    void operator()(std::string_view key, std::vector<T>& list) {
        const Field& row = field(key);
        for (const Text& text : scalars(key, row)) {
            T value{};
            judge(text, read_value(scope_.values, row, text.value, value));
            list.push_back(std::move(value));
        }
    }
    void operator()(std::string_view key, std::map<std::string, std::string>& map);

    /// A text that stands for several values: `read` gives a Complaint, `write` is the writer's.
    template <class Read, class Write>
    void custom(std::string_view key, Read read, const Write&) {
        const Field& row = field(key);
        if (const auto text = scalar(key, row)) judge(*text, read(row, text->value));
    }

    /// A section within, without a struct of its own.
    template <class Body>
    void nest(std::string_view key, Body body) {
        Section child = below(key);
        body(child);
    }
    template <class Struct>
    void section(std::string_view key, Struct& value) {
        nest(key, [&](Section& child) { fields(child, value); });
    }
    /// A section that is there only when written.
    template <class Struct>
    void optional(std::string_view key, std::optional<Struct>& value) {
        if (written(key)) section(key, value.emplace());
    }
    /// A list of sections.
    template <class Struct>
    void list(std::string_view key, std::vector<Struct>& values) {
        for (Section& child : elements(key)) fields(child, values.emplace_back());
    }
    /// A map of sections under chosen names; the struct's `name` is the key.
    template <class Struct>
    void named(std::string_view key, std::vector<Struct>& values) {
        for (auto& [name, child] : named_sections(key)) {
            values.emplace_back().name = name;
            fields(child, values.back());
        }
    }

    void worker(Pool& pool);   ///< the keys around `command`, or what stands for them
    void resolve(Pool& pool);  ///< works out what the keys read so far mean for the defaults of the others
    bool keeps(const Tls&) const { return true; }
    void own_tls(Listener& listener);  ///< `tls`: yes or no, or everything that the top level has under this name
    void default_protocols(const std::vector<Protocol>& alpn);

 private:
    struct Text {
        std::string value;       ///< variables put in
        std::string as_written;  ///< what may be shown
        bool changed = false;
        bool is_written = false;
        Place place;
    };

    const Entry* entry(std::string_view key) const { return node_ ? node_->find(key) : nullptr; }
    std::string row_of(std::string_view key) const {
        return row_.empty() ? std::string(key) : row_ + "." + std::string(key);
    }
    std::string path_of(std::string_view key) const {
        return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
    }
    const Field& field(std::string_view key) const;

    void check_keys();
    std::optional<Text> scalar(std::string_view key, const Field& row);
    std::vector<Text> scalars(std::string_view key, const Field& row);
    std::optional<Text> text_of(const Node& node, Place where, const std::string& path, const Field& row);
    void judge(const Text& text, const Complaint& complaint);
    void wrong_kind(const Node& node, Place where, const std::string& path, const char* wanted);
    NodePtr map_of(const NodePtr& node, Place where, const std::string& row, const std::string& path);
    Section below(std::string_view key);
    std::vector<Section> elements(std::string_view key);
    std::vector<std::pair<std::string, Section>> named_sections(std::string_view key);
    void read_command(std::vector<std::string>& argv);
    void read_env_files(std::map<std::string, std::string>& environment);
    void resolve_watch(std::vector<std::string>& patterns);
    void refuse_without_command();

    Scope& scope_;
    NodePtr node_;
    std::string row_, path_;
    Traits traits_;
};

}  // namespace edgeproxy::config
