// SPDX-License-Identifier: Apache-2.0
#include "config/field_table.hpp"

#include <algorithm>
#include <unordered_map>

#include "config/field_rows.hpp"

namespace edgeproxy::config {

namespace {

/// "pools.<name>.queue.size" -> "pools.<name>.queue"; "routes[].host" -> "routes[]"; "routes[]" -> none of the keys'
/// business.
std::string_view section_of(std::string_view path) {
    const auto dot = path.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

struct Index {
    std::unordered_map<std::string_view, const Field*> by_path;
    std::unordered_map<std::string_view, std::vector<const Field*>> below;

    Index() {
        for (const Field& field : rows::table) {
            by_path.emplace(field.path, &field);
            // "routes[]" describes the elements of "routes", it is no key.
            if (!field.path.ends_with("[]")) below[section_of(field.path)].push_back(&field);
        }
    }
};

const Index& index() {
    static const Index built;
    return built;
}

/// Calls `visit` for each part of `text` between separators.
template <class Visit>
void for_each_part(std::string_view text, char separator, Visit visit) {
    while (!text.empty()) {
        const auto end = text.find(separator);
        visit(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
}

}  // namespace

bool Field::takes(std::string_view word) const {
    bool found = false;
    for_each_part(words, ' ', [&](std::string_view known) {
        if (known.ends_with('!')) known.remove_suffix(1);
        found = found || known == word;
    });
    return found;
}

std::vector<std::string_view> Field::word_list() const {
    std::vector<std::string_view> list;
    for_each_part(words, ' ', [&](std::string_view known) { list.push_back(known); });
    return list;
}

std::string_view Field::fallback_for(std::span<const std::string_view> traits) const {
    std::string_view chosen;
    bool decided = false;
    for_each_part(fallback, '|', [&](std::string_view alternative) {
        if (decided) return;
        const auto mark = alternative.find('?');
        const auto trait = alternative.substr(0, mark);
        decided = mark == std::string_view::npos || std::find(traits.begin(), traits.end(), trait) != traits.end();
        if (decided) chosen = mark == std::string_view::npos ? alternative : alternative.substr(mark + 1);
    });
    return chosen;
}

std::span<const Field> field_table() {
    return rows::table;
}

const Field* find_field(std::string_view path) {
    const auto found = index().by_path.find(path);
    return found == index().by_path.end() ? nullptr : found->second;
}

std::span<const Field* const> fields_below(std::string_view section) {
    const auto found = index().below.find(section);
    if (found == index().below.end()) return {};
    return found->second;
}

std::string_view last_part(std::string_view path) {
    const auto dot = path.rfind('.');
    return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace edgeproxy::config
