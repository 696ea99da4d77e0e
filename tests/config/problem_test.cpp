// SPDX-License-Identifier: Apache-2.0
#include "config/problem.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;

TEST_CASE("a problem is shown with its line, underlined, and the hint beside it", "[config][problem]") {
    const std::string source = "listen: \":80\"\npools:\n  web:\n    comand: uvicorn\n";
    const Problem problem{Severity::error,
                          "stack.yaml",
                          4,
                          5,
                          6,
                          "unknown-key",
                          "unknown key \"comand\" in pools.web",
                          "did you mean \"command\"?"};
    CHECK(render(problem, source) ==
          "stack.yaml:4:5: error: unknown key \"comand\" in pools.web [unknown-key]\n"
          "    4 |     comand: uvicorn\n"
          "      |     ^~~~~~ did you mean \"command\"?\n");
}

TEST_CASE("the underline follows characters, not bytes, and tabs stay one wide", "[config][problem]") {
    const Problem problem{Severity::warning, "f", 1, 10, 7, "r", "t", ""};
    CHECK(render(problem, "\t\xc3\xa4\xc3\xb6: x \xe2\x82\xac\xe2\x82\xacz") ==
          "f:1:10: warning: t [r]\n"
          "    1 |  \xc3\xa4\xc3\xb6: x \xe2\x82\xac\xe2\x82\xacz\n"
          "      |        ^~~\n");
}

TEST_CASE("control characters and endless lines do no harm", "[config][problem]") {
    const Problem evil{Severity::error, "f", 1, 1, 3, "r", "a\x1b[31m", ""};
    CHECK(render(evil, "a\x1b[31m") == "f:1:1: error: a?[31m [r]\n    1 | a?[31m\n      | ^~~\n");

    const std::string line(5000, 'x');
    const auto text = render({Severity::error, "f", 1, 2001, 4000, "r", "t", "h"}, line);
    CHECK(text == "f:1:2001: error: t [r]\n    1 | " + std::string(100, 'x') + "\n      | " + std::string(30, ' ') +
                      "^" + std::string(69, '~') + " h\n");
}

TEST_CASE("a problem without a place is one line, and its hint", "[config][problem]") {
    CHECK(render({Severity::error, "f", 0, 0, 0, "no-file", "cannot read it", "name it"}, "a\n") ==
          "f: error: cannot read it [no-file]\n      | name it\n");
}

TEST_CASE("problems come sorted, each once, and not without end", "[config][problem]") {
    Problems problems("f");
    problems.error({2, 1, 1}, "b", "");
    problems.warn({1, 9, 1}, "w", "");
    problems.error({1, 2, 1}, "a", "");
    problems.error({1, 2, 1}, "a", "");
    CHECK(problems.has_errors());
    const auto list = problems.take();
    REQUIRE(list.size() == 3);
    CHECK(list[0].rule + list[1].rule + list[2].rule == "awb");

    Problems many("f");
    for (unsigned i = 1; i <= 500; ++i) many.warn({i, 1, 1}, "w", "");
    CHECK_FALSE(many.has_errors());
    for (unsigned i = 1; i <= 500; ++i) many.error({i, 1, 1}, "e", "");
    CHECK(many.has_errors());
    CHECK(many.take().size() == Problems::most_problems);
}
