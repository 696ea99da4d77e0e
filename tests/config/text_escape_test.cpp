// SPDX-License-Identifier: Apache-2.0
#include "config/text_escape.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace edgeproxy::config;
using namespace std::string_literals;

namespace {

struct Case {
    std::string in, plain, json, nginx;
};

// U+009B moves a terminal's cursor, U+202E turns the direction, U+2028 ends a line in JavaScript.
const Case cases[] = {
    {"", "", "", "-"},
    {"/items/7", "/items/7", "/items/7", "/items/7"},
    {"a\"b\\c", "a\"b\\\\c", "a\\\"b\\\\c", "a\\x22b\\x5Cc"},
    {"a\r\nb", "a\\x0D\\x0Ab", "a\\u000D\\u000Ab", "a\\x0D\\x0Ab"},
    {"\x1b[31m", "\\x1B[31m", "\\u001B[31m", "\\x1B[31m"},
    {"\x7f", "\\x7F", "\\u007F", "\\x7F"},
    {"a\0b"s, "a\\x00b", "a\\u0000b", "a\\x00b"},
    {"grün", "grün", "grün", "gr\\xC3\\xBCn"},
    {"\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d", "\\xF0\\x9F\\x90\\x8D"},
    {"\xc2\x9b", "\\xC2\\x9B", "\\u009B", "\\xC2\\x9B"},
    {"\xe2\x80\xae", "\\xE2\\x80\\xAE", "\\u202E", "\\xE2\\x80\\xAE"},
    {"\xe2\x80\xa8", "\\xE2\\x80\\xA8", "\\u2028", "\\xE2\\x80\\xA8"},
    {"\xff", "\\xFF", "\\\\xFF", "\\xFF"},
    {"\xc3", "\\xC3", "\\\\xC3", "\\xC3"},                                            // cut short
    {"\xc0\xaf", "\\xC0\\xAF", "\\\\xC0\\\\xAF", "\\xC0\\xAF"},                       // overlong
    {"\xe0\x80\xaf", "\\xE0\\x80\\xAF", "\\\\xE0\\\\x80\\\\xAF", "\\xE0\\x80\\xAF"},  // overlong
    {"\xed\xa0\x80", "\\xED\\xA0\\x80", "\\\\xED\\\\xA0\\\\x80", "\\xED\\xA0\\x80"},  // surrogate
    {"\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80", "\\\\xF4\\\\x90\\\\x80\\\\x80", "\\xF4\\x90\\x80\\x80"},
};

std::string with(void (*append)(std::string&, std::string_view), std::string_view text) {
    std::string out;
    append(out, text);
    return out;
}

}  // namespace

TEST_CASE("whatever the network sends becomes harmless text", "[admin][escape]") {
    for (const Case& each : cases) {
        CAPTURE(each.in);
        CHECK(with(append_plain, each.in) == each.plain);
        CHECK(with(append_json, each.in) == each.json);
        CHECK(json_string(each.in) == "\"" + each.json + "\"");
        CHECK(with(append_nginx, each.in) == each.nginx);
    }
}

TEST_CASE("no byte and no pair of bytes comes through as a control", "[admin][escape]") {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second)};
            for (const auto append : {append_plain, append_json, append_nginx}) {
                for (const char c : with(append, text)) REQUIRE((static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
            }
        }
    }
}
