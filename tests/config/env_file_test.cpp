// SPDX-License-Identifier: Apache-2.0
#include "config/env_file.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;

namespace {

std::pair<std::map<std::string, std::string>, std::vector<Problem>> read(const std::string& text) {
    Problems problems("stack.yaml");
    std::map<std::string, std::string> environment;
    read_env_text(text, "app.env", environment, problems);
    return {environment, problems.take()};
}

}  // namespace

TEST_CASE("an env file is read as docker-compose reads it", "[config][env_file]") {
    const auto [environment, problems] = read(R"(# a comment
PLAIN=value
  SPACES =  a b  
export EXPORTED=yes
COMMENTED=a#b # a comment
EMPTY=
ONLY_COMMENT= # nothing
SINGLE='a $B \n # c' # comment
DOUBLE="a\tb \"c\" \$d \x # e"
LINES="one
two"
AFTER=lines
EQUALS=a=b==
DOLLAR=pa$$word${X}
PLAIN=again
)");
    CHECK(problems.empty());
    CHECK(environment == std::map<std::string, std::string>{{"PLAIN", "again"},
                                                            {"SPACES", "a b"},
                                                            {"EXPORTED", "yes"},
                                                            {"COMMENTED", "a#b"},
                                                            {"EMPTY", ""},
                                                            {"ONLY_COMMENT", ""},
                                                            {"SINGLE", "a $B \\n # c"},
                                                            {"DOUBLE", "a\tb \"c\" $d \\x # e"},
                                                            {"LINES", "one\ntwo"},
                                                            {"AFTER", "lines"},
                                                            {"EQUALS", "a=b=="},
                                                            {"DOLLAR", "pa$$word${X}"}});
}

TEST_CASE("lines of Windows are lines", "[config][env_file]") {
    CHECK(read("A=1\r\nB=\"2\"\r\n").first == std::map<std::string, std::string>{{"A", "1"}, {"B", "2"}});
}

TEST_CASE("what is no assignment is said with its line", "[config][env_file]") {
    const auto [text, line, said] = GENERATE(table<std::string, unsigned, std::string>({
        {"A=1\nnonsense\n", 2, "this line is not NAME=value"},
        {"1A=1\n", 1, "this line is not NAME=value"},
        {"=1\n", 1, "this line is not NAME=value"},
        {"A='x\nB=1\n", 3, "a quote is not closed"},
    }));
    const auto problems = read(text).second;
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].file == "app.env");
    CHECK(problems[0].line == line);
    CHECK(problems[0].text == said);
    CHECK(problems[0].rule == "bad-env-file");
}
