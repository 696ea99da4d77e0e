// SPDX-License-Identifier: Apache-2.0
#include "config/section.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "config/host.hpp"
#include "config/synonyms.hpp"
#include "config/text.hpp"

namespace edgeproxy::config {

namespace {

constexpr std::size_t most_sections = 4096;  // elements of one list, names of one map
constexpr std::size_t longest_name = 64;
constexpr std::uint64_t most_default_connections = 50'000;

std::optional<std::string> process_variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

/// What `auto` stands for, as text, so that it goes through the same checks as a written value.
std::string automatic_value(const void* owner, const Field& field) {
    const auto& scope = *static_cast<const Scope*>(owner);
    const LoadOptions& options = scope.options;
    if (field.path == "server.max_connections") {
        const auto files = options.file_limit != 0 ? options.file_limit : open_file_limit();
        constexpr std::uint64_t fewest = 16;
        // Four of ten descriptors for clients, four for endpoints, the rest for logs, probes and control.
        return std::to_string(std::clamp<std::uint64_t>(files / 10 * 4, fewest, most_default_connections));
    }
    if (field.path == "limits.memory") {
        const auto memory = options.memory != 0 ? options.memory : granted_memory();
        // What the proxy may take of what it shares with its workers and the kernel: less than 128 MiB only where there
        // is no more to be had.
        constexpr std::uint64_t fewest = 16 * 1024 * 1024, enough = 128 * 1024 * 1024;
        const auto budget = std::max(memory / 10 * 7, std::min(enough, memory / 10 * 8));
        return std::to_string(std::max(budget, fewest)) + "B";
    }
    if (field.path == "server.runtime_dir")
        return runtime_dir_for(options.uid.value_or(::geteuid()), scope.environment);
    if (field.path == "server.state_dir") return state_dir_for(options.uid.value_or(::geteuid()), scope.environment);
    if (field.path == "pools.<name>.working_dir") return scope.values.base_dir;
    const unsigned most = field.path == "server.threads" ? 256 : most_workers;
    return std::to_string(std::clamp(options.cpus != 0 ? options.cpus : allowed_cpus(), 1U, most));
}

bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_name && name.front() != '.' && name.front() != '-' &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                      c == '-' || c == '.';
           });
}

bool is_status_code(std::string_view key) {
    return key.size() == 3 && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Scope::Scope(Problems& all_problems, const LoadOptions& load_options, std::string directory)
    : problems(all_problems),
      options(load_options),
      environment(load_options.environment ? load_options.environment : Lookup(&process_variable)),
      values{std::move(directory), &automatic_value, this} {}

Place Scope::place_of(std::string_view path) const {
    for (;;) {
        if (const auto found = places.find(path); found != places.end()) return found->second;
        const auto cut = path.find_last_of(".[");
        if (cut == std::string_view::npos) return {};
        path = path.substr(0, cut);
    }
}

std::string Scope::shown_path(std::string_view path) const {
    for (std::string_view prefix = path; !prefix.empty();) {
        if (const auto found = shown.find(prefix); found != shown.end()) {
            return found->second + std::string(path.substr(prefix.size()));
        }
        const auto cut = prefix.find_last_of(".[");
        prefix = cut == std::string_view::npos ? std::string_view{} : prefix.substr(0, cut);
    }
    return std::string(path);
}

Expanded Scope::expanded(const Node& scalar) {
    auto result = expand(scalar.text, environment);
    for (auto& complaint : result.complaints) {
        problems.error(scalar.place, "bad-variable", std::move(complaint),
                       "set it, or write ${NAME:-default}; a plain dollar is $$");
    }
    return result;
}

Section::Section(Scope& scope, NodePtr node, std::string row, std::string path, Traits traits)
    : scope_(scope), node_(std::move(node)), row_(std::move(row)), path_(std::move(path)), traits_(std::move(traits)) {
    if (node_) check_keys();
}

void Section::trait(std::string_view name, bool holds) {
    if (holds) traits_.push_back(name);
}

bool Section::has_trait(std::string_view name) const {
    return std::find(traits_.begin(), traits_.end(), name) != traits_.end();
}

const Field& Section::field(std::string_view key) const {
    const Field* row = find_field(row_of(key));
    if (row == nullptr) throw std::logic_error("no row in the field table for " + row_of(key));
    return *row;
}

void Section::check_keys() {
    const std::string where = path_.empty() ? "" : " in " + scope_.shown_path(path_);
    for (const Entry& entry : node_->entries) {
        if (row_.empty() && entry.key.starts_with("x-")) continue;
        const bool code = row_ == "error_pages" && is_status_code(entry.key);
        const Field* row = find_field(row_of(code ? "<code>" : std::string_view(entry.key)));
        const bool internal = row != nullptr && row->internal() && !scope_.options.internal;
        if (row == nullptr || internal || entry.key.find_first_of(".<[") != std::string::npos) {
            scope_.puzzling.insert(path_);
            scope_.problems.error(entry.place, "unknown-key", "unknown key " + in_quotes(entry.key) + where,
                                  hint_for_key(row_, entry.key));
        } else if (!row->supported()) {
            scope_.problems.error(entry.place, "not-supported",
                                  "key " + in_quotes(entry.key) + where + " is not supported yet");
        } else {
            scope_.places.emplace(path_of(entry.key),
                                  entry.value->is(Node::Kind::scalar) ? entry.value->place : entry.place);
        }
    }
}

std::optional<Section::Text> Section::scalar(std::string_view key, const Field& row) {
    const Entry* found = entry(key);
    if (found != nullptr) return text_of(*found->value, found->place, path_of(key), row);
    const auto computed = scope_.computed.find(path_of(key));
    const std::string_view fallback =
        computed != scope_.computed.end() ? std::string_view(computed->second) : row.fallback_for(traits_);
    if (fallback.empty()) return std::nullopt;
    return Text{std::string(fallback), std::string(fallback), false, false, {}};
}

std::vector<Section::Text> Section::scalars(std::string_view key, const Field& row) {
    std::vector<Text> list;
    const Entry* found = entry(key);
    if (found == nullptr) {
        const auto computed = scope_.computed.find(path_of(key));
        std::string_view rest =
            computed != scope_.computed.end() ? std::string_view(computed->second) : row.fallback_for(traits_);
        while (!rest.empty()) {
            const auto comma = rest.find(',');
            const auto one = std::string(rest.substr(0, comma));
            list.push_back({one, one, false, false, {}});
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
        return list;
    }
    if (!found->value->is(Node::Kind::list)) {
        if (auto text = text_of(*found->value, found->place, path_of(key), row)) list.push_back(std::move(*text));
        return list;
    }
    for (std::size_t i = 0; i < found->value->items.size(); ++i) {
        const Node& item = *found->value->items[i];
        const std::string path = path_of(key) + "[" + std::to_string(i) + "]";
        const Place where = item.is(Node::Kind::null) ? found->place : item.place;
        scope_.places.emplace(path, where);
        if (auto text = text_of(item, where, path, row)) list.push_back(std::move(*text));
    }
    return list;
}

std::optional<Section::Text> Section::text_of(const Node& node, Place where, const std::string& path,
                                              const Field& row) {
    if (!node.is(Node::Kind::scalar)) {
        const bool number = row.type == FieldType::count;
        wrong_kind(node, where, path, number ? "a number" : row.type == FieldType::boolean ? "true or false" : "text");
        return std::nullopt;
    }
    auto expanded = scope_.expanded(node);
    if (!expanded.complaints.empty()) return std::nullopt;
    return Text{std::move(expanded.text), node.text, expanded.changed, true, node.place};
}

void Section::wrong_kind(const Node& node, Place where, const std::string& path, const char* wanted) {
    const std::string name = in_quotes(scope_.shown_path(path));
    if (node.is(Node::Kind::null)) {
        scope_.problems.error(where, "no-value", name + " has no value",
                              std::string("write ") + wanted + ", or leave the key out");
        return;
    }
    const bool braces =
        node.is(Node::Kind::map) && node.entries.size() == 1 && node.entries[0].value->is(Node::Kind::null);
    const char* kind = node.is(Node::Kind::map) ? "map" : node.is(Node::Kind::list) ? "list" : "text";
    scope_.problems.error(where, "wrong-kind", name + " must be " + wanted + ", not a " + kind,
                          braces ? "quote it: \"{" + node.entries[0].key + "}\"" : "");
}

void Section::judge(const Text& text, const Complaint& complaint) {
    if (!complaint) return;
    if (!text.is_written)
        throw std::logic_error("default " + in_quotes(text.value) + " in " + path_ + ": " + complaint.text);
    if (text.changed) {
        // The value may be a secret: only what the file says is shown.
        scope_.problems.error(text.place, complaint.rule,
                              in_quotes(text.as_written) + " becomes something that is not valid here");
    } else {
        scope_.problems.error(text.place, complaint.rule, complaint.text, complaint.hint);
    }
}

NodePtr Section::map_of(const NodePtr& node, Place where, const std::string& row, const std::string& path) {
    const Field* known = find_field(row);
    const auto shorthand = known == nullptr ? std::string_view{} : known->words;
    const bool list = node->is(Node::Kind::list) && row == "listeners.<name>";
    if (node->is(Node::Kind::map)) return node;
    if (!shorthand.empty() && (node->is(Node::Kind::scalar) || list)) {
        return make_map({{std::string(shorthand), node->place, node}}, node->place);
    }
    wrong_kind(*node, node->is(Node::Kind::null) ? where : node->place, path, "a map");
    return nullptr;
}

Section Section::below(std::string_view key) {
    const Entry* found = entry(key);
    const std::string row = row_of(key), path = path_of(key);
    return {scope_, found == nullptr ? nullptr : map_of(found->value, found->place, row, path), row, path, traits_};
}

std::vector<Section> Section::elements(std::string_view key) {
    std::vector<Section> list;
    const Entry* found = entry(key);
    if (found == nullptr) return list;
    const std::string row = row_of(key) + "[]", path = path_of(key);
    if (!found->value->is(Node::Kind::list)) {
        wrong_kind(*found->value, found->place, path, "a list");
        return list;
    }
    const auto& items = found->value->items;
    if (items.size() > most_sections) {
        scope_.problems.error(found->place, "too-many",
                              in_quotes(path) + " has more than " + std::to_string(most_sections) + " entries");
        return list;
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string element = path + "[" + std::to_string(i) + "]";
        const Place where = items[i]->is(Node::Kind::null) ? found->place : items[i]->place;
        scope_.places.emplace(element, where);
        list.emplace_back(scope_, map_of(items[i], where, row, element), row, element, traits_);
    }
    return list;
}

std::vector<std::pair<std::string, Section>> Section::named_sections(std::string_view key) {
    std::vector<std::pair<std::string, Section>> list;
    const Entry* found = entry(key);
    if (found == nullptr) return list;
    const std::string row = row_of(key) + ".<name>", path = path_of(key);
    if (!found->value->is(Node::Kind::map)) {
        wrong_kind(*found->value, found->place, path, "a map of names");
        return list;
    }
    if (found->value->entries.size() > most_sections) {
        scope_.problems.error(found->place, "too-many",
                              in_quotes(path) + " has more than " + std::to_string(most_sections) + " entries");
        return list;
    }
    for (const Entry& entry : found->value->entries) {
        const std::string element = path + "." + entry.key;
        if (!is_plain_name(entry.key)) {
            scope_.problems.error(entry.place, "bad-name", in_quotes(entry.key) + " cannot be a name",
                                  "letters, digits, \"_\", \"-\" and \".\", at most 64");
        }
        scope_.places.emplace(element, entry.place);
        list.emplace_back(entry.key,
                          Section{scope_, map_of(entry.value, entry.place, row, element), row, element, traits_});
    }
    return list;
}

void Section::operator()(std::string_view key, std::map<std::string, std::string>& map) {
    const Entry* found = entry(key);
    if (found == nullptr) return;
    if (!found->value->is(Node::Kind::map)) {
        wrong_kind(*found->value, found->place, path_of(key), "a map of names and texts");
        return;
    }
    for (const Entry& entry : found->value->entries) {
        const std::string path = path_of(key) + "." + entry.key;
        if (entry.key.empty() || entry.key.find('=') != std::string::npos) {
            scope_.problems.error(entry.place, "bad-name", in_quotes(entry.key) + " cannot be the name of a variable");
        }
        scope_.places.emplace(path, entry.value->is(Node::Kind::null) ? entry.place : entry.value->place);
        const auto text = text_of(*entry.value, entry.place, path, field(key));
        if (text) map[entry.key] = text->value;
    }
}

}  // namespace edgeproxy::config
