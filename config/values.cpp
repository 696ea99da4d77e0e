// SPDX-License-Identifier: Apache-2.0
#include "config/values.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <set>
#include <vector>

#include "config/synonyms.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace edgeproxy::config {

namespace {

std::string join(const std::vector<std::string_view>& words) {
    std::string text;
    for (const auto word : words) {
        if (word.ends_with('!')) continue;
        text += (text.empty() ? "" : ", ") + std::string(word);
    }
    return text;
}

/// `off`, `auto` and `any` are offered where the field takes them.
std::string with_words(std::string hint, const Field& field) {
    for (const auto word : field.word_list()) {
        if ((word == "off" || word == "auto") && !hint.empty()) hint += ", or " + std::string(word);
    }
    return hint;
}

/// The range check for everything that `parse` understands.
template <class T, class Parse>
Complaint in_range(const Field& field, std::string_view text, const T& value, Parse parse) {
    const auto low = parse(field.low).value, high = parse(field.high).value;
    if (low && value < *low) {
        return {"out-of-range", in_quotes(text) + " is too small for " + in_quotes(last_part(field.path)),
                with_words("at least " + std::string(field.low), field)};
    }
    if (high && value > *high) {
        return {"out-of-range", in_quotes(text) + " is too large for " + in_quotes(last_part(field.path)),
                with_words("at most " + std::string(field.high), field)};
    }
    return {};
}

template <class T, class Parse>
Complaint read_measured(const Field& field, std::string_view text, T& value, const char* rule, Parse parse) {
    if (text == "off" && field.takes("off")) {
        value = T{};
        return {};
    }
    auto parsed = parse(text);
    if (!parsed.value) return {rule, parsed.complaint, with_words(parsed.hint, field)};
    value = *parsed.value;
    return in_range(field, text, *parsed.value, parse);
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, unsigned& value) {
    if (text == "off" && field.takes("off")) {
        value = 0;
        return {};
    }
    std::string automatic;
    if (text == "auto" && field.takes("auto") && context.automatic != nullptr) {
        automatic = context.automatic(context.owner, field);
        text = automatic;
    }
    auto parsed = parse_count(text);
    if (!parsed.value) return {"bad-number", parsed.complaint, with_words(parsed.hint, field)};
    if (auto complaint = in_range(field, text, *parsed.value, parse_count)) return complaint;
    value = static_cast<unsigned>(std::min<std::uint64_t>(*parsed.value, std::numeric_limits<unsigned>::max()));
    return {};
}

Complaint read_value(const ValueContext&, const Field& field, std::string_view text, bool& value) {
    // A map that can be switched off as a whole says so with the house's word.
    if (text == "off" && field.path.ends_with(".enabled")) {
        value = false;
        return {};
    }
    const auto parsed = parse_boolean(text);
    if (!parsed.value) return {"bad-boolean", parsed.complaint, parsed.hint};
    value = *parsed.value;
    return {};
}

Complaint read_value(const ValueContext&, const Field& field, std::string_view text, Duration& value) {
    return read_measured(field, text, value, "bad-duration", parse_duration);
}

Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, ByteSize& value) {
    if (text == "auto" && field.takes("auto") && context.automatic != nullptr)
        return read_measured(field, context.automatic(context.owner, field), value, "bad-size", parse_size);
    return read_measured(field, text, value, "bad-size", parse_size);
}

Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, std::string& value) {
    if (has_control(text) && field.path != "routes[].respond.body" && field.type != FieldType::text_map) {
        return {"bad-text", "line ends and control characters have no place here", {}};
    }
    const bool path = field.type == FieldType::path || field.type == FieldType::path_list;
    const bool file = field.type == FieldType::output && text != "stdout" && text != "stderr";
    if (field.type == FieldType::word) {
        std::size_t index = 0;
        if (auto complaint = read_word(field, text, index)) return complaint;
    }
    if (field.type == FieldType::output && text == "journald") {
        return {"not-supported", "\"journald\" is not supported yet", "write stderr: the service manager takes it"};
    }
    if (text == "off" && field.takes("off")) {
        value.clear();
    } else if (text == "auto" && field.takes("auto") && context.automatic != nullptr) {
        value = context.automatic(context.owner, field);
    } else if ((path || file) && text.empty()) {
        return {"bad-path", "a path cannot be empty", {}};
    } else {
        value = path || file ? absolute_path(context.base_dir, text) : std::string(text);
    }
    return {};
}

Complaint read_value(const ValueContext&, const Field&, std::string_view text, Address& value) {
    if (const auto parsed = parse_address(text)) {
        value = *parsed;
        return {};
    }
    std::string hint = "write it like :443, 127.0.0.1:443, [::1]:443 or unix:/path";
    const bool digits =
        !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (digits && parse_address(":" + std::string(text))) hint = "write \":" + std::string(text) + '"';
    if (parse_ip(text) && text.find(':') != std::string_view::npos) hint = "write [" + std::string(text) + "]:PORT";
    return {"bad-address", in_quotes(text) + " is not an address", hint};
}

Complaint read_value(const ValueContext&, const Field&, std::string_view text, Cidr& value) {
    if (const auto parsed = parse_cidr(text)) {
        value = *parsed;
        return {};
    }
    return {"bad-cidr", in_quotes(text) + " is not a range of addresses", "write it like 10.0.0.0/8 or fd00::/8"};
}

Complaint read_word(const Field& field, std::string_view text, std::size_t& index) {
    const auto words = field.word_list();
    for (index = 0; index < words.size(); ++index) {
        if (words[index] == text) return {};
        if (words[index].ends_with('!') && words[index].substr(0, words[index].size() - 1) == text) {
            return {"not-supported", in_quotes(text) + " is not supported yet", "one of " + join(words)};
        }
    }
    const auto near = nearest(text, words);
    return {"bad-word", in_quotes(text) + " is not a value of " + in_quotes(last_part(field.path)),
            near.empty() || near.ends_with('!') ? "one of " + join(words) : "did you mean " + in_quotes(near) + '?'};
}

std::string write_value(const Field& field, unsigned value) {
    return value == 0 && field.takes("off") ? "off" : std::to_string(value);
}
std::string write_value(const Field&, bool value) {
    return value ? "true" : "false";
}

std::string write_value(const Field& field, Duration value) {
    if (value.count() != 0) return format_duration(value);
    if (field.takes("off")) return "off";
    // Zero stands for "not given" where there is no default.
    return field.fallback.empty() ? "" : "0s";
}

std::string write_value(const Field& field, ByteSize value) {
    return value == 0 && field.takes("off") ? "off" : format_size(value);
}

std::string write_value(const Field& field, const std::string& value) {
    return value.empty() && field.takes("off") ? "off" : value;
}

std::string write_value(const Field&, const Address& value) {
    return value.to_string();
}
std::string write_value(const Field&, const Cidr& value) {
    return value.to_string();
}
std::string write_word(const Field& field, std::size_t index) {
    return std::string(field.word_list().at(index));
}

Complaint read_status_range(std::string_view text, unsigned& low, unsigned& high) {
    low = high = 0;
    if (text == "any") return {};
    const auto dash = text.find('-');
    const auto first = parse_count(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_count(text.substr(dash + 1));
    const bool fine =
        first.value && last.value && *first.value >= 100 && *last.value <= 599 && *first.value <= *last.value;
    if (!fine)
        return {"bad-status", in_quotes(text) + " is not a range of statuses", "write it like 200-399, 204 or any"};
    low = static_cast<unsigned>(*first.value);
    high = static_cast<unsigned>(*last.value);
    return {};
}

std::string write_status_range(unsigned low, unsigned high) {
    if (high == 0) return "any";
    return low == high ? std::to_string(low) : std::to_string(low) + "-" + std::to_string(high);
}

Complaint read_span(const Field& field, std::string_view text, Duration& low, Duration& high) {
    const auto dash = text.find('-');
    const auto first = parse_duration(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? Parsed<Duration>{} : parse_duration(text.substr(dash + 1));
    if (!first.value || !last.value || *first.value > *last.value) {
        return {"bad-span", in_quotes(text) + " is not two lengths of time",
                "write it like " + std::string(field.fallback)};
    }
    low = *first.value;
    high = *last.value;
    if (auto complaint = in_range(field, text.substr(0, dash), low, parse_duration)) return complaint;
    return in_range(field, text.substr(dash + 1), high, parse_duration);
}

std::string write_span(Duration low, Duration high) {
    return format_duration(low) + "-" + format_duration(high);
}

Complaint read_failures(const Field& field, std::string_view text, unsigned& count, Duration& window) {
    const auto slash = text.find('/');
    const auto number = parse_count(text.substr(0, slash));
    const auto length = slash == std::string_view::npos ? Parsed<Duration>{} : parse_duration(text.substr(slash + 1));
    constexpr auto longest = std::chrono::hours(24);
    if (!number.value || !length.value || length.value->count() == 0 || *length.value > longest) {
        return {"bad-rate", in_quotes(text) + " is not a count in a time",
                "write it like " + std::string(field.fallback)};
    }
    if (auto complaint = in_range(field, text.substr(0, slash), *number.value, parse_count)) return complaint;
    count = static_cast<unsigned>(*number.value);
    window = *length.value;
    return {};
}

std::string write_failures(unsigned count, Duration window) {
    return std::to_string(count) + "/" + format_duration(window);
}

Complaint read_cpus(std::string_view text, bool& spread, std::vector<unsigned>& cpus) {
    cpus.clear();
    spread = text == "auto";
    if (spread) return {};
    const Complaint wrong{"bad-cpus", in_quotes(text) + " is no list of CPUs", "write it like 0-3,6, or auto"};
    std::set<unsigned> found;
    while (!text.empty()) {
        const auto comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const auto dash = part.find('-');
        const auto first = parse_count(part.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_count(part.substr(dash + 1));
        if (!first.value || !last.value || *first.value > *last.value || *last.value >= most_cpus) return wrong;
        for (auto cpu = *first.value; cpu <= *last.value; ++cpu) found.insert(static_cast<unsigned>(cpu));
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
        if (comma != std::string_view::npos && text.empty()) return wrong;
    }
    if (found.empty()) return wrong;
    cpus.assign(found.begin(), found.end());
    return {};
}

std::string write_cpus(bool spread, const std::vector<unsigned>& cpus) {
    if (spread) return "auto";
    std::string out;
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t end = i;
        while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) ++end;
        out += (out.empty() ? "" : ",") + std::to_string(cpus[i]);
        if (end > i) out += "-" + std::to_string(cpus[end]);
        i = end + 1;
    }
    return out;
}

std::string absolute_path(const std::string& base_dir, std::string_view path) {
    if (path.starts_with('/')) return std::string(path);
    auto text = (std::filesystem::path(base_dir) / path).lexically_normal().string();
    if (text.size() > 1 && text.back() == '/') text.pop_back();
    return text;
}

}  // namespace edgeproxy::config
