// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/listening.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "upstream/master/usage.hpp"

namespace edgeproxy::master {
namespace {

namespace fs = std::filesystem;

// "0100007F:1F90": the words of the address as they lie in memory, and the port. Empty when it is none.
std::string address_of(std::string_view text) {
    const std::size_t colon = text.find(':');
    std::array<std::uint32_t, 4> words{};
    const std::size_t count = colon / 8;
    if (colon == std::string_view::npos || colon % 8 != 0 || (count != 1 && count != 4)) return {};
    for (std::size_t i = 0; i < count; ++i)
        std::from_chars(text.data() + 8 * i, text.data() + 8 * (i + 1), words[i], 16);
    unsigned port = 0;
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), port, 16);
    std::array<char, INET6_ADDRSTRLEN> host{};
    ::inet_ntop(count == 1 ? AF_INET : AF_INET6, words.data(), host.data(), host.size());
    return count == 1 ? fmt::format("{}:{}", host.data(), port) : fmt::format("[{}]:{}", host.data(), port);
}

void add_sockets(pid_t pid, std::set<std::uint64_t>& inodes) {
    constexpr std::string_view start = "socket:[";
    std::error_code error;
    for (fs::directory_iterator it(fmt::format("/proc/{}/fd", pid), error), end; !error && it != end;
         it.increment(error)) {
        std::error_code hidden;
        const std::string target = fs::read_symlink(it->path(), hidden).string();
        std::uint64_t inode = 0;
        if (target.starts_with(start))
            std::from_chars(target.data() + start.size(), target.data() + target.size(), inode);
        if (inode != 0) inodes.insert(inode);
    }
}

}  // namespace

std::vector<std::string> listening_in(std::string_view table, const std::set<std::uint64_t>& inodes) {
    std::vector<std::string> out;
    std::istringstream lines{std::string(table)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        std::string skipped, local, state;
        std::uint64_t inode = 0;
        fields >> skipped >> local >> skipped >> state;
        for (int field = 5; field < 10; ++field) fields >> skipped;
        if (!(fields >> inode) || state != "0A" || !inodes.contains(inode)) continue;
        if (std::string address = address_of(local); !address.empty()) out.push_back(std::move(address));
    }
    return out;
}

std::vector<std::string> listening_of(pid_t pid) {
    constexpr std::size_t most = 64;
    std::set<std::uint64_t> inodes;
    for (const pid_t one : family_of(pid, most)) add_sockets(one, inodes);
    std::vector<std::string> out;
    if (inodes.empty()) return out;
    for (const char* name : {"tcp", "tcp6"}) {
        std::ifstream file(fmt::format("/proc/{}/net/{}", pid, name));
        const std::string table{std::istreambuf_iterator<char>(file), {}};
        for (std::string& address : listening_in(table, inodes)) out.push_back(std::move(address));
    }
    return out;
}

}  // namespace edgeproxy::master
