// SPDX-License-Identifier: Apache-2.0
#include "config/expand.hpp"

#include <algorithm>

namespace edgeproxy::config {

namespace {

constexpr unsigned deepest_default = 8;             // ${A:-${B:-${C}}}
constexpr std::size_t longest_result = 256 * 1024;  // bytes of one expanded text

bool is_name_character(char c, bool first) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

std::string_view leading_name(std::string_view text) {
    std::size_t used = 0;
    while (used < text.size() && is_name_character(text[used], used == 0)) ++used;
    return text.substr(0, used);
}

/// Where the brace that closes the one before `start` stands, or npos.
std::size_t closing_brace(std::string_view text, std::size_t start) {
    unsigned open = 1;
    for (std::size_t i = start; i < text.size(); ++i) {
        if (text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') ++open;
        if (text[i] == '}' && --open == 0) return i;
    }
    return std::string_view::npos;
}

class Expansion {
 public:
    Expansion(const Lookup& lookup, Expanded& result) : lookup_(lookup), result_(result) {}

    std::string run(std::string_view text, unsigned depth) {
        std::string out;
        while (!text.empty() && out.size() <= longest_result) {
            const auto dollar = text.find('$');
            out += text.substr(0, dollar);
            if (dollar == std::string_view::npos) break;
            text.remove_prefix(dollar + 1);
            if (text.starts_with('$')) {
                out += '$';
                text.remove_prefix(1);
            } else if (text.starts_with('{')) {
                out += braces(text, depth);
            } else {
                out += '$';
            }
        }
        if (out.size() > longest_result) complain("the text is too long once its variables are put in");
        return out;
    }

 private:
    void complain(std::string text) { result_.complaints.push_back(std::move(text)); }

    /// `text` begins with the opening brace and is moved behind the closing one.
    std::string braces(std::string_view& text, unsigned depth) {
        const auto end = closing_brace(text, 1);
        if (end == std::string_view::npos || depth >= deepest_default) {
            complain(depth >= deepest_default ? "too many variables inside each other" : "\"${\" without \"}\"");
            text = {};
            return {};
        }
        const auto inside = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        result_.changed = true;
        return variable(inside, depth);
    }

    std::string variable(std::string_view inside, unsigned depth) {
        const auto name = leading_name(inside);
        const auto rest = inside.substr(name.size());
        const bool fallback = rest.starts_with(":-"), demand = rest.starts_with(":?");
        if (name.empty() || (!rest.empty() && !fallback && !demand)) {
            complain("\"${" + std::string(inside) +
                     "}\" is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}");
            return {};
        }
        const auto value = lookup_(std::string(name));
        if (value && (!value->empty() || rest.empty())) return checked(name, *value);
        if (fallback) return run(rest.substr(2), depth + 1);
        complain("variable " + std::string(name) + " is not set" +
                 (demand && rest.size() > 2 ? ": " + std::string(rest.substr(2)) : ""));
        return {};
    }

    std::string checked(std::string_view name, std::string value) {
        if (first_bad_byte(value) == std::string_view::npos) return value;
        complain("variable " + std::string(name) + " holds bytes that are not UTF-8 text");
        return {};
    }

    const Lookup& lookup_;
    Expanded& result_;
};

/// Length of the UTF-8 sequence at the front of `text`, 0 when it is none (RFC 3629, section 4).
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool surrogate = lead == 0xed && byte(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && byte(1) >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

Expanded expand(std::string_view text, const Lookup& lookup) {
    Expanded result;
    if (text.find('$') == std::string_view::npos) {
        result.text = text;
        return result;
    }
    result.text = Expansion(lookup, result).run(text, 0);
    return result;
}

std::size_t first_bad_byte(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool control = (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f;
        const std::size_t length = control ? 0 : sequence_length(text.substr(at));
        if (length == 0) return at;
        at += length;
    }
    return std::string_view::npos;
}

}  // namespace edgeproxy::config
