// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/holder.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>

namespace edgeproxy::control {

namespace fs = std::filesystem;

std::string encode(const Holder& holder) {
    return std::to_string(holder.pid) + "\n" + holder.runs + "\n";
}

Holder decode_holder(std::string_view text) {
    Holder out;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, out.pid);
    if (error != std::errc{} || out.pid < 0) return {};
    if (rest == end || *rest != '\n') return out;
    out.runs.assign(rest + 1, end);
    if (out.runs.ends_with('\n')) out.runs.pop_back();  // not more: a name may hold line ends as well
    return out;
}

Holder read_holder(const std::string& lock_path) {
    constexpr std::size_t most = 8192;
    std::ifstream file(lock_path, std::ios::binary);
    std::string text(most, '\0');
    file.read(text.data(), static_cast<std::streamsize>(most));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return decode_holder(text);
}

bool is_same_file(const std::string& one, const std::string& other) {
    std::error_code error;
    const fs::path first = fs::absolute(one, error).lexically_normal();
    const fs::path second = fs::absolute(other, error).lexically_normal();
    if (!error && first == second) return true;
    return fs::equivalent(first, second, error) && !error;  // follows links
}

}  // namespace edgeproxy::control
