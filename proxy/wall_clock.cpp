// SPDX-License-Identifier: Apache-2.0
#include "proxy/wall_clock.hpp"

#include <cstring>
#include <ctime>

namespace edgeproxy::proxy {

void WallClock::refresh(io::TimePoint now) {
    if (now == at_) return;
    at_ = now;
    wall_ = std::chrono::system_clock::now();
    const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(wall_.time_since_epoch()).count();
    if (second == second_) return;
    second_ = second;
    // By hand: strftime's names follow the locale.
    constexpr std::string_view days = "SunMonTueWedThuFriSat";
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto time = static_cast<std::time_t>(second);
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char* at = date_.data();
    const auto text = [&](std::string_view piece) {
        std::memcpy(at, piece.data(), piece.size());
        at += piece.size();
    };
    const auto two = [&](int value) {
        *at++ = static_cast<char>('0' + value / 10 % 10);
        *at++ = static_cast<char>('0' + value % 10);
    };
    text(days.substr(static_cast<std::size_t>(parts.tm_wday) * 3, 3));
    text(", ");
    two(parts.tm_mday);
    text(" ");
    text(months.substr(static_cast<std::size_t>(parts.tm_mon) * 3, 3));
    text(" ");
    two((parts.tm_year + 1900) / 100);
    two((parts.tm_year + 1900) % 100);
    text(" ");
    two(parts.tm_hour);
    text(":");
    two(parts.tm_min);
    text(":");
    two(parts.tm_sec);
    text(" GMT");
}

}  // namespace edgeproxy::proxy
