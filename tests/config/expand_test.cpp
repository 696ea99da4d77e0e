// SPDX-License-Identifier: Apache-2.0
#include "config/expand.hpp"

#include <catch2/catch.hpp>
#include <map>

using namespace edgeproxy::config;

namespace {

Expanded expand_here(const std::string& text) {
    const std::map<std::string, std::string> set{
        {"NAME", "web"}, {"EMPTY", ""}, {"MONEY", "$NAME ${NAME}"}, {"BAD", "\xff"}};
    return expand(text, [&](const std::string& name) -> std::optional<std::string> {
        const auto found = set.find(name);
        if (found == set.end()) return std::nullopt;
        return found->second;
    });
}

}  // namespace

TEST_CASE("variables are put in, once", "[config][expand]") {
    const auto [text, result] = GENERATE(table<std::string, std::string>({
        {"plain", "plain"},
        {"${NAME}", "web"},
        {"a-${NAME}-${NAME}", "a-web-web"},
        {"${EMPTY}", ""},
        {"${NOPE:-4}", "4"},
        {"${EMPTY:-4}", "4"},
        {"${NAME:-4}", "web"},
        {"${NOPE:-}", ""},
        {"${NOPE:-a}b}", "ab}"},
        {"${NOPE:-${NAME}}", "web"},
        {"${NOPE:-${ALSO:-x}}y", "xy"},
        {"${NAME:?say}", "web"},
        {"${MONEY}", "$NAME ${NAME}"},
        {"$$", "$"},
        {"$${NAME}", "${NAME}"},
        {"$NAME 5$", "$NAME 5$"},
    }));
    INFO(text);
    const auto expanded = expand_here(text);
    CHECK(expanded.text == result);
    CHECK(expanded.complaints.empty());
}

TEST_CASE("what cannot be put in is said, without values", "[config][expand]") {
    const auto [text, complaint] = GENERATE(table<std::string, std::string>({
        {"${NOPE}", "variable NOPE is not set"},
        {"${NOPE:?ask Ann}", "variable NOPE is not set: ask Ann"},
        {"${EMPTY:?ask Ann}", "variable EMPTY is not set: ask Ann"},
        {"${NAME", "\"${\" without \"}\""},
        {"${}", "\"${}\" is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}"},
        {"${A B}", "\"${A B}\" is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}"},
        {"${NAME-x}", "\"${NAME-x}\" is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message}"},
        {"${BAD}", "variable BAD holds bytes that are not UTF-8 text"},
        {"${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-x}}}}}}}}}", "too many variables inside each other"},
    }));
    INFO(text);
    const auto expanded = expand_here(text);
    REQUIRE(expanded.complaints.size() == 1);
    CHECK(expanded.complaints[0] == complaint);
}

TEST_CASE("text is UTF-8 without control characters", "[config][expand]") {
    const auto [text, bad] = GENERATE(table<std::string, std::size_t>({
        {"", std::string::npos},
        {"a\n\t\r\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", std::string::npos},
        {"ab\x01", 2},
        {"\x7f", 0},
        {"a\x80", 1},
        {"\xc0\x80", 0},
        {"\xe0\x80\x80", 0},
        {"\xed\xa0\x80", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xc3", 0},
        {std::string("a\0b", 3), 1},
    }));
    CHECK(first_bad_byte(text) == bad);
}
