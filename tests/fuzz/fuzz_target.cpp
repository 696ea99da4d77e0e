// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/target.hpp"

#include <cstdlib>
#include <string>

#include "proxy/http/authority.hpp"
#include "proxy/http/text.hpp"

namespace {

using namespace edgeproxy::http;

std::string read(std::string_view path, unsigned reading) {
    std::string buffer(path.size(), '\0');
    return std::string(read_path(path, reading, buffer));
}

void check_path(std::string_view path) {
    const std::string form = read(path, canonical);
    if (read(form, canonical) != form) std::abort();
    if (!is_valid_path(form)) std::abort();
    if (has_one_reading(path) && form != path) std::abort();
    for (unsigned reading = 0; reading <= every_reading; ++reading) {
        const std::string other = read(path, reading);
        if (other.empty() || other[0] != '/' || other.size() > path.size()) std::abort();
        if (read(path, reading & readings_of(path)) != other) std::abort();
        if ((reading & dots_kept) == 0 && (other + "/").find("/../") != std::string::npos) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 4096) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto authority = parse_authority(text)) {
        std::string again(authority->ipv6 ? "[" : "");
        again += std::string(authority->host) + (authority->ipv6 ? "]" : "");
        if (authority->port) again += ":" + std::to_string(*authority->port);
        if (again != text || text.find_first_of("@,/\\ ?#%") != std::string_view::npos) std::abort();
    }
    Target target;
    if (parse_target(text, Method::get, target) != errc::ok) return 0;
    if (!all_chars(text, char_target) || target.path.empty() || target.path[0] != '/') std::abort();
    std::string joined(target.path);
    if (target.has_query) joined += "?" + std::string(target.query);
    if (joined != target.target) std::abort();
    check_path(target.path);
    return 0;
}
