// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "config/validate.hpp"

namespace edgeproxy::config {

namespace {

std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> list;
    if (path.starts_with('/')) path.remove_prefix(1);
    while (!path.empty()) {
        const auto slash = path.find('/');
        list.push_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return list;
        path.remove_prefix(slash + 1);
        if (path.empty()) list.push_back({});
    }
    return list;
}

/// By segment: `/a` takes `/a/b`, `/a/*` takes `/a/x`. `**` may stand for nothing, so only another pattern with it at
/// the end is judged.
bool path_covers(std::string_view first, std::string_view second) {
    if (first == second) return true;
    if (first.starts_with('=')) return false;
    if (second.starts_with('=')) second.remove_prefix(1);
    auto wide = parts_of(first);
    const auto narrow = parts_of(second);
    if (!wide.empty() && wide.back() == "**") wide.pop_back();
    if (std::find(wide.begin(), wide.end(), "**") != wide.end() || wide.size() > narrow.size()) return false;
    for (std::size_t i = 0; i < wide.size(); ++i) {
        const bool any = wide[i] == "*" && narrow[i] != "**" && !narrow[i].empty();
        const bool slash = wide[i].empty() && i + 1 == wide.size();
        if (!any && !slash && wide[i] != narrow[i]) return false;
    }
    return true;
}

bool host_covers(std::string_view first, std::string_view second) {
    if (first == second) return true;
    if (!first.starts_with("*.")) return false;
    const auto tail = first.substr(1);
    if (second.starts_with('*')) second.remove_prefix(1);
    return second.size() > tail.size() && second.ends_with(tail);
}

bool equal(std::string_view first, std::string_view second) {
    return first == second;
}

/// Nothing written means everything: `all` is how that looks.
bool each_covered(const std::vector<std::string>& first, const std::vector<std::string>& second, std::string_view all,
                  bool (*one_covers)(std::string_view, std::string_view)) {
    if (first.empty() || std::find(first.begin(), first.end(), all) != first.end()) return true;
    if (second.empty()) return false;
    return std::all_of(second.begin(), second.end(), [&](const std::string& narrow) {
        return std::any_of(first.begin(), first.end(),
                           [&](const std::string& wide) { return one_covers(wide, narrow); });
    });
}

}  // namespace

bool covers(const Route& first, const Route& second) {
    return each_covered(first.hosts, second.hosts, "*", &host_covers) &&
           each_covered(first.paths, second.paths, "/", &path_covers) &&
           each_covered(first.methods, second.methods, "*", &equal);
}

}  // namespace edgeproxy::config
