// SPDX-License-Identifier: Apache-2.0
#include "config/units.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "config/text.hpp"

namespace edgeproxy::config {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t worth;
};

constexpr std::uint64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour, year = 365 * day;
constexpr std::uint64_t longest_duration = 100 * year;
constexpr std::array<Unit, 6> duration_units{
    {{"y", year}, {"d", day}, {"h", hour}, {"m", minute}, {"s", second}, {"ms", 1}}};

constexpr std::uint64_t kilo = 1000, kibi = 1024;
constexpr std::array<Unit, 9> size_units{{{"TiB", kibi* kibi* kibi* kibi},
                                          {"TB", kilo* kilo* kilo* kilo},
                                          {"GiB", kibi* kibi* kibi},
                                          {"GB", kilo* kilo* kilo},
                                          {"MiB", kibi* kibi},
                                          {"MB", kilo* kilo},
                                          {"KiB", kibi},
                                          {"KB", kilo},
                                          {"B", 1}}};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

template <std::size_t N>
const Unit* find_unit(const std::array<Unit, N>& units, std::string_view name) {
    const auto found = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    return found == units.end() ? nullptr : &*found;
}

/// Takes leading digits off `text`. Empty when there are none or they do not fit.
std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t value = 0;
    std::size_t used = 0;
    for (; used < text.size() && is_digit(text[used]); ++used) {
        const auto digit = static_cast<std::uint64_t>(text[used] - '0');
        if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    if (used == 0) return std::nullopt;
    text.remove_prefix(used);
    return value;
}

std::string_view take_unit(std::string_view& text) {
    std::size_t used = 0;
    while (used < text.size() && is_letter(text[used])) ++used;
    const auto unit = text.substr(0, used);
    text.remove_prefix(used);
    return unit;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    return result;
}

constexpr const char* duration_example = "write it like 500ms, 30s, 5m or 1h30m";
constexpr const char* size_example = "write it like 64KiB, 10MiB or 1GB";

/// `30 s`, `30sec`, `1.5s`, `5M`: what to write instead.
std::string duration_hint(std::string_view text) {
    std::string_view rest = text;
    const auto number = take_number(rest);
    if (!number) return duration_example;
    const std::string digits = std::to_string(*number);
    if (rest.empty()) return "write " + digits + "s";
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    const std::string word = lower(rest);
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 20> known{
        {{"sec", "s"},   {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"min", "m"},
         {"mins", "m"},  {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},      {"hrs", "h"},
         {"hour", "h"},  {"hours", "h"},  {"day", "d"},     {"days", "d"},    {"year", "y"},
         {"years", "y"}, {"msec", "ms"},  {"msecs", "ms"},  {"millis", "ms"}, {"milliseconds", "ms"}}};
    if (find_unit(duration_units, word) != nullptr) return "write " + digits + word;
    for (const auto& [said, meant] : known) {
        if (said == word) return "write " + digits + std::string(meant);
    }
    if (word == "w" || word == "week" || word == "weeks") return "write " + std::to_string(*number * 7) + "d";
    return duration_example;
}

Parsed<ByteSize> bad_size(std::string_view text) {
    std::string_view rest = text;
    const auto number = take_number(rest);
    const std::string wrong = in_quotes(text) + " is not a size";
    if (!number) return {{}, wrong, size_example};
    while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
    const std::string digits = std::to_string(*number);
    if (rest.empty()) {
        if (*number == 0) return {{}, in_quotes(text) + " has no unit", "write 0B"};
        return {
            {}, in_quotes(text) + " has no unit", "write " + digits + "B, or " + digits + "KiB, or " + digits + "MiB"};
    }
    const auto either = [&](const std::string& letter) {
        return "write " + digits + letter + "iB or " + digits + letter + "B";
    };
    if (rest == "m") return {{}, wrong + ": minutes or megabytes? " + either("M"), {}};
    const std::string word = lower(rest);
    for (const char letter : {'k', 'm', 'g', 't'}) {
        const std::string upper(1, static_cast<char>(letter - 'a' + 'A'));
        if (word == std::string(1, letter)) return {{}, wrong, either(upper)};
        if (word == std::string{letter, 'b'}) return {{}, wrong, "write " + digits + upper + "B"};
        if (word == std::string{letter, 'i', 'b'}) return {{}, wrong, "write " + digits + upper + "iB"};
    }
    if (word == "b" || word == "byte" || word == "bytes") return {{}, wrong, "write " + digits + "B"};
    return {{}, wrong, size_example};
}

std::string count_hint(std::string_view text) {
    std::string_view rest = text;
    if (!rest.empty() && (rest.front() == '+' || rest.front() == '-')) return "a plain number without a sign";
    const auto number = take_number(rest);
    if (!number) return "digits only";
    if (rest.empty()) return "write " + std::to_string(*number) + ", without leading zeros";
    if (rest.front() == '_' || rest.front() == ',') return "digits only, no separators";
    if (rest.front() == '.') return "no fractions";
    return "digits only, no unit, no exponent";
}

template <std::size_t N>
std::string largest_exact(const std::array<Unit, N>& units, std::uint64_t value) {
    for (const Unit& unit : units) {
        if (value != 0 && value % unit.worth == 0) return std::to_string(value / unit.worth) + std::string(unit.name);
    }
    return "0" + std::string(units.back().name);
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) {
    const auto wrong = [&] {
        std::string_view digits = text;
        const bool bare = take_number(digits) && digits.empty();
        return Parsed<Duration>{
            {}, in_quotes(text) + (bare ? " has no unit" : " is not a length of time"), duration_hint(text)};
    };
    std::uint64_t total = 0, previous = std::numeric_limits<std::uint64_t>::max();
    std::string_view rest = text;
    if (rest.empty()) return wrong();
    while (!rest.empty()) {
        const auto number = take_number(rest);
        const Unit* unit = number ? find_unit(duration_units, take_unit(rest)) : nullptr;
        if (unit == nullptr || unit->worth >= previous) return wrong();
        previous = unit->worth;
        if (*number > longest_duration / unit->worth) return {{}, in_quotes(text) + " is too long", "at most 100y"};
        total += *number * unit->worth;
        if (total > longest_duration) return {{}, in_quotes(text) + " is too long", "at most 100y"};
    }
    return {Duration(static_cast<Duration::rep>(total)), {}, {}};
}

Parsed<ByteSize> parse_size(std::string_view text) {
    std::string_view rest = text;
    const auto number = take_number(rest);
    const Unit* unit = number ? find_unit(size_units, rest) : nullptr;
    if (unit == nullptr) return bad_size(text);
    if (*number > std::numeric_limits<std::uint64_t>::max() / unit->worth)
        return {{}, in_quotes(text) + " is too large", {}};
    return {*number * unit->worth, {}, {}};
}

Parsed<std::uint64_t> parse_count(std::string_view text) {
    std::string_view rest = text;
    const auto number = take_number(rest);
    const bool padded = text.size() > 1 && text.front() == '0';
    if (number && rest.empty() && !padded) return {*number, {}, {}};
    return {{}, in_quotes(text) + " is not a whole number", count_hint(text)};
}

Parsed<bool> parse_boolean(std::string_view text) {
    if (text == "true") return {true, {}, {}};
    if (text == "false") return {false, {}, {}};
    const std::string word = lower(text);
    std::string hint = "write true or false";
    if (word == "yes" || word == "on" || word == "y" || word == "1" || word == "true") hint = "write true";
    if (word == "no" || word == "off" || word == "n" || word == "0" || word == "false") hint = "write false";
    return {{}, in_quotes(text) + " is not true or false", hint};
}

std::string format_duration(Duration value) {
    auto rest = static_cast<std::uint64_t>(std::max<Duration::rep>(value.count(), 0));
    std::string result;
    for (const Unit& unit : duration_units) {
        if (rest < unit.worth) continue;
        result += std::to_string(rest / unit.worth) + std::string(unit.name);
        rest %= unit.worth;
    }
    return result.empty() ? "0s" : result;
}

std::string format_size(ByteSize value) {
    return largest_exact(size_units, value);
}

}  // namespace edgeproxy::config
