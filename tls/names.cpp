// SPDX-License-Identifier: Apache-2.0
#include "tls/names.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace edgeproxy::tls {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

void NameIndex::add(std::string_view name, std::size_t certificate) {
    std::string copy(name);
    if (!copy.empty() && copy.back() == '.') copy.pop_back();
    if (copy.empty() || copy.size() > longest) return;
    std::transform(copy.begin(), copy.end(), copy.begin(), lower);
    names_.emplace_back(std::move(copy), certificate);
}

void NameIndex::finish() {
    // Sorted by name, then by certificate, so that the first certificate of a name is the one that stays.
    std::sort(names_.begin(), names_.end());
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    names_.erase(std::unique(names_.begin(), names_.end(), same), names_.end());
}

std::size_t NameIndex::exact(std::string_view name) const {
    const auto less = [](const auto& entry, std::string_view wanted) { return entry.first < wanted; };
    const auto at = std::lower_bound(names_.begin(), names_.end(), name, less);
    return at != names_.end() && at->first == name ? at->second : none;
}

std::size_t NameIndex::find(std::string_view host) const {
    if (!host.empty() && host.back() == '.') host.remove_suffix(1);
    if (host.empty() || host.size() > longest) return none;
    std::array<char, longest> name;
    std::transform(host.begin(), host.end(), name.begin(), lower);
    const std::string_view wanted{name.data(), host.size()};
    if (const std::size_t found = exact(wanted); found != none) return found;
    // `*.` takes the place of exactly the first label, which must not be empty.
    const std::size_t dot = wanted.find('.');
    if (dot == std::string_view::npos || dot == 0) return none;
    std::array<char, longest + 1> wildcard;
    wildcard[0] = '*';
    std::memcpy(wildcard.data() + 1, wanted.data() + dot, wanted.size() - dot);
    return exact({wildcard.data(), wanted.size() - dot + 1});
}

}  // namespace edgeproxy::tls
