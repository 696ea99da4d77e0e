// SPDX-License-Identifier: Apache-2.0
#include "upstream/dns.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace edgeproxy::upstream {
namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

std::string literal(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
    } else if (address->sa_family == AF_INET6) {
        ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text, sizeof text);
    }
    return text;
}

}  // namespace

Resolved resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (status == EAI_SYSTEM) return {{}, std::strerror(errno)};
    if (status != 0) return {{}, ::gai_strerror(status)};

    const std::unique_ptr<addrinfo, FreeAddresses> list(found);
    std::set<std::string> hosts;
    for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
        if (auto text = literal(entry->ai_addr); !text.empty()) hosts.insert(std::move(text));
    }
    Resolved result;
    for (const auto& text : hosts) result.addresses.push_back({config::Address::Kind::tcp, text, 0});
    if (result.addresses.empty()) result.error = "no address of a kind that we can use";
    return result;
}

void NameSchedule::set(const std::set<std::string>& hosts) {
    std::erase_if(next_, [&](const auto& entry) { return !hosts.contains(entry.first); });
    for (const auto& host : hosts) next_.try_emplace(host, io::TimePoint{});
}

std::vector<std::string> NameSchedule::due(io::TimePoint now) {
    std::vector<std::string> hosts;
    for (auto& [host, next] : next_) {
        if (next > now) continue;
        next = io::never;
        hosts.push_back(host);
    }
    return hosts;
}

void NameSchedule::answered(const std::string& host, bool success, io::TimePoint now) {
    if (const auto it = next_.find(host); it != next_.end()) it->second = now + (success ? refresh : retry);
}

}  // namespace edgeproxy::upstream
