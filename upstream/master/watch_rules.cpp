// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/watch_rules.hpp"

#include <algorithm>
#include <array>

namespace edgeproxy::master {
namespace {

// One name against one name. Iterative, so that no pattern costs more than pattern times name.
bool fits_name(std::string_view pattern, std::string_view name) {
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            ++p;
            ++n;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::vector<std::string_view> names_of(std::string_view path) {
    std::vector<std::string_view> names;
    while (!path.empty()) {
        const std::size_t slash = std::min(path.find('/'), path.size());
        if (slash > 0) names.push_back(path.substr(0, slash));
        path.remove_prefix(std::min(slash + 1, path.size()));
    }
    return names;
}

}  // namespace

// The same walk one level up: `**` is to names what `*` is to characters.
bool fits_pattern(std::string_view pattern, std::string_view path) {
    const auto wanted = names_of(pattern), names = names_of(path);
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < names.size()) {
        if (p < wanted.size() && wanted[p] == "**") {
            star = p++;
            mark = n;
        } else if (p < wanted.size() && fits_name(wanted[p], names[n])) {
            ++p;
            ++n;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < wanted.size() && wanted[p] == "**") ++p;
    return p == wanted.size();
}

bool is_ignored_folder(std::string_view name) {
    static constexpr std::array names{"__pycache__", "node_modules", "venv", "site-packages"};
    return name.starts_with('.') ||
           std::any_of(names.begin(), names.end(), [&](std::string_view known) { return name == known; });
}

bool is_ignored_file(std::string_view name) {
    return name.empty() || name.front() == '.' || name.front() == '#' || name.back() == '~' || name == "4913";
}

void Debounce::note(io::TimePoint now) {
    if (!first_) first_ = now;
    last_ = now;
}

std::optional<io::TimePoint> Debounce::due() const {
    if (!first_) return std::nullopt;
    return std::min(last_ + quiet, *first_ + longest);
}

std::vector<std::string> differences(const FileStamps& before, const FileStamps& after) {
    std::vector<std::string> out;
    auto a = before.begin();
    auto b = after.begin();
    while (a != before.end() || b != after.end()) {
        if (b == after.end() || (a != before.end() && a->first < b->first)) {
            out.push_back((a++)->first);
        } else if (a == before.end() || b->first < a->first) {
            out.push_back((b++)->first);
        } else {
            if (a->second != b->second) out.push_back(a->first);
            ++a;
            ++b;
        }
    }
    return out;
}

std::string describe_files(const std::vector<std::string>& files) {
    if (files.empty()) return "nothing";
    if (files.size() == 1) return files.front();
    return files.front() + " and " + std::to_string(files.size() - 1) +
           (files.size() == 2 ? " other file" : " other files");
}

}  // namespace edgeproxy::master
