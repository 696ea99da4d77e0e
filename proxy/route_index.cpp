// SPDX-License-Identifier: Apache-2.0
#include "proxy/route_index.hpp"

#include "proxy/http/text.hpp"

namespace edgeproxy::proxy {

std::size_t RouteIndex::Hash::operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
}

/// FNV-1a. Whoever sends hosts that collide only finds the few that are configured.
std::size_t RouteIndex::IgnoresCase::operator()(std::string_view text) const {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(http::lower(c))) * 1099511628211ULL;
    return static_cast<std::size_t>(hash);
}

bool RouteIndex::EqualButForCase::operator()(std::string_view a, std::string_view b) const {
    return http::iequals(a, b);
}

void RouteIndex::add(std::uint32_t route, std::optional<std::string_view> host,
                     std::optional<std::string_view> segment) {
    Paths& paths = host ? by_host_[std::string(*host)] : any_host_;
    List& list = segment ? paths.by_segment[std::string(*segment)] : paths.any;
    list.push_back(route);
}

void RouteIndex::add(const Paths& paths, std::string_view segment, Candidates& to) {
    if (!paths.any.empty()) to.add(paths.any);
    const auto found = paths.by_segment.find(segment);
    if (found != paths.by_segment.end()) to.add(found->second);
}

RouteIndex::Candidates RouteIndex::candidates(std::string_view host, std::string_view segment) const {
    Candidates out;
    add(any_host_, segment, out);
    if (by_host_.empty()) return out;
    const auto found = by_host_.find(host);
    if (found != by_host_.end()) add(found->second, segment, out);
    return out;
}

std::optional<std::uint32_t> RouteIndex::Candidates::next() {
    std::span<const std::uint32_t>* lowest = nullptr;
    for (std::span<const std::uint32_t>& list : std::span(lists_).first(count_)) {
        if (!list.empty() && (lowest == nullptr || list.front() < lowest->front())) lowest = &list;
    }
    if (lowest == nullptr) return std::nullopt;
    const std::uint32_t route = lowest->front();
    *lowest = lowest->subspan(1);
    return route;
}

}  // namespace edgeproxy::proxy
