// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/time_text.hpp"

#include <array>

namespace edgeproxy::admin {
namespace {

using std::chrono::milliseconds;

struct Split {
    std::time_t second;
    unsigned ms;
};

Split split(TimeText::Time time) {
    const auto whole = std::chrono::floor<std::chrono::seconds>(time);
    const auto rest = std::chrono::duration_cast<milliseconds>(time - whole);
    return {std::chrono::system_clock::to_time_t(whole), static_cast<unsigned>(rest.count())};
}

void append_ms(std::string& out, unsigned ms) {
    out.push_back('.');
    out.push_back(static_cast<char>('0' + ms / 100));
    out.push_back(static_cast<char>('0' + ms / 10 % 10));
    out.push_back(static_cast<char>('0' + ms % 10));
}

/// Month names of nginx are English whatever the locale; strftime's are too, since nobody calls setlocale.
std::string formatted(std::time_t second, const char* format, bool local) {
    std::tm parts{};
    if (local) {
        ::localtime_r(&second, &parts);
    } else {
        ::gmtime_r(&second, &parts);
    }
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

}  // namespace

const std::string& TimeText::keep(Kept& kept, std::time_t second, const char* format, bool local) {
    if (kept.second != second || kept.text.empty()) kept = {second, formatted(second, format, local)};
    return kept.text;
}

void TimeText::append_utc(std::string& out, Time time) {
    const auto [second, ms] = split(time);
    out.append(keep(utc_, second, "%Y-%m-%dT%H:%M:%S", false));
    append_ms(out, ms);
    out.push_back('Z');
}

void TimeText::append_clock(std::string& out, Time time) {
    out.append(keep(clock_, split(time).second, "%H:%M:%S", true));
}

void TimeText::append_clock_ms(std::string& out, Time time) {
    append_clock(out, time);
    append_ms(out, split(time).ms);
}

void TimeText::append_nginx(std::string& out, Time time) {
    out.append(keep(nginx_, split(time).second, "%d/%b/%Y:%H:%M:%S %z", true));
}

}  // namespace edgeproxy::admin
