// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/config/support.hpp"

using namespace edgeproxy::config;

// line:column+length severity rule: text | hint
TEST_CASE("what is wrong with a file is said at its place: text, keys, values", "[config][load]") {
    const auto [name, text, expected] = GENERATE(table<std::string, std::string, std::string>({
        {"empty file", "", "1:1+1 error missing-key: nothing listens | write listen: \":8080\"\n"},
        {"only a comment", "# nothing\n", "1:1+1 error missing-key: nothing listens | write listen: \":8080\"\n"},
        {"not a map", "- a\n",
         "1:1+1 error wrong-kind: the file must be a map of keys | begin with listen: \":8080\"\n"},
        {"bytes that are no text",
         "listen: \":8080\"\n"
         "app: prog\n"
         "x-a: \377\n",
         "3:6+1 error not-text: the file is not UTF-8 text | \n"},
        {"control character",
         "listen: \":8080\"\n"
         "app: prog\n"
         "x-a: a\001b\n",
         "3:7+1 error not-text: the file is not UTF-8 text | \n"},
        {"duplicate key",
         "listen: \":8080\"\n"
         "app: prog\n"
         "listen: \":81\"\n",
         "3:1+6 error duplicate-key: key \"listen\" is written twice: first in line 1 | \n"},
        {"duplicate key in a map",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 1\n"
         "  workers: 2\n",
         "5:3+7 error duplicate-key: key \"workers\" is written twice: first in line 4 | \n"},
        {"second document",
         "listen: \":8080\"\n"
         "app: prog\n"
         "---\n"
         "listen: \":81\"\n",
         "3:1+1 error second-document: a second document begins here | one file holds one stack; take the \"---\" "
         "out\n"},
        {"alias for a host",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - host: *.example.com\n"
         "    pool: app\n",
         "6:11+13 error bad-alias: a value that begins with * is an alias in YAML, and this one is not defined | if it "
         "is meant as text, quote it: \"*.example.com\"\n"},
        {"unknown token",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: @x\n",
         "4:16+1 error syntax: a value cannot begin with this character | quote it\n"},
        {"percent sign",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: %x\n",
         "4:16+1 error syntax: a value cannot begin with this character | quote it\n"},
        {"tab",
         "listen: \":8080\"\n"
         "app:\n"
         "\011command: prog\n",
         "3:1+1 error tab-indent: tab used for indentation | YAML wants spaces\n"},
        {"colon in a variable",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: ${X:-y: z}\n",
         "4:22+1 error syntax: illegal map value | quote values with ${...} in them\n"},
        {"wrong indentation",
         "listen: 8080\n"
         "  pools: x\n",
         "2:8+1 error syntax: a key with \":\" is not allowed here | quote values that contain \": \", and check the "
         "indentation\n"},
        {"unclosed flow list",
         "listen: \":8080\"\n"
         "app: prog\n"
         "x-a: [1, 2\n",
         "4:1+1 error syntax: end of sequence flow not found | \n"},
        {"alias in itself",
         "listen: \":8080\"\n"
         "app: prog\n"
         "x-a: &a [*a]\n",
         "3:10+1 error bad-alias: an alias cannot stand inside what it refers to | \n"},
        {"alias bomb",
         "listen: \":8080\"\n"
         "app: prog\n"
         "x-a: &a [1,2,3,4,5,6,7,8,9,10]\n"
         "x-b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
         "x-c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
         "x-d: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
         "5:34+1 error too-many-aliases: all aliases together stand for more than 1000 values | \n"},
        {"merge of a text",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  <<: prog\n",
         "4:3+2 error bad-merge: \"<<\" takes a map or a list of maps | \n"},
        {"key that is a list",
         "listen: \":8080\"\n"
         "app: prog\n"
         "[a, b]: c\n",
         "3:1+1 error bad-key: a key must be text | quote it\n"},
        {"tag",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: !!int 4\n",
         "4:12+1 error bad-tag: YAML tags have no meaning here | leave the tag out\n"},
        {"typing slip",
         "listen: \":8080\"\n"
         "app:\n"
         "  comand: prog\n",
         "3:3+6 error unknown-key: unknown key \"comand\" in app | did you mean \"command\"?\n"},
        {"word of another tool",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  replicas: 4\n",
         "4:3+8 error unknown-key: unknown key \"replicas\" in app | edgeproxy calls this \"workers\"\n"},
        {"key of another section",
         "listen: \":8080\"\n"
         "app: prog\n"
         "workers: 4\n",
         "3:1+7 error unknown-key: unknown key \"workers\" | this key belongs into pools.<name>\n"},
        {"unheard of",
         "listen: \":8080\"\n"
         "app: prog\n"
         "frobnicate: 4\n",
         "3:1+10 error unknown-key: unknown key \"frobnicate\" | \n"},
        {"not built yet",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  hash_on: ip\n",
         "4:3+7 error not-supported: key \"hash_on\" in app is not supported yet | \n"},
        {"not built yet in a route",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    rate_limit: { rate: 1/s }\n",
         "7:5+10 error not-supported: key \"rate_limit\" in routes[0] is not supported yet | \n"},
        {"custom error page",
         "listen: \":8080\"\n"
         "app: prog\n"
         "error_pages:\n"
         "  \"502\": x.html\n",
         "4:3+5 error not-supported: key \"502\" in error_pages is not supported yet | \n"},
        {"internal key",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    managed: { kind: uvicorn }\n",
         "4:5+7 error unknown-key: unknown key \"managed\" in pools.app | \n"},
        {"x- below the top",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  x-note: 1\n",
         "4:3+6 error unknown-key: unknown key \"x-note\" in app | \n"},
        {"octal",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 0755\n",
         "4:12+4 error bad-number: \"0755\" is not a whole number | write 755, without leading zeros, or auto\n"},
        {"exponent",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 1e3\n",
         "4:12+3 error bad-number: \"1e3\" is not a whole number | digits only, no unit, no exponent, or auto\n"},
        {"yes for a number",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: yes\n",
         "4:12+3 error bad-number: \"yes\" is not a whole number | digits only, or auto\n"},
        {"negative",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: -1\n",
         "4:12+2 error bad-number: \"-1\" is not a whole number | a plain number without a sign, or auto\n"},
        {"fraction",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 1.5\n",
         "4:12+3 error bad-number: \"1.5\" is not a whole number | no fractions, or auto\n"},
        {"separator",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 1_000\n",
         "4:12+5 error bad-number: \"1_000\" is not a whole number | digits only, no separators, or auto\n"},
        {"below the range",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 0\n",
         "4:12+1 error out-of-range: \"0\" is too small for \"workers\" | at least 1, or auto\n"},
        {"above the range",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: 5000\n",
         "4:12+4 error out-of-range: \"5000\" is too large for \"workers\" | at most 1024, or auto\n"},
        {"no value",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers:\n",
         "4:3+7 error no-value: \"app.workers\" has no value | write a number, or leave the key out\n"},
        {"list for a number",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: [1]\n",
         "4:3+7 error wrong-kind: \"app.workers\" must be a number, not a list | \n"},
        {"no unit",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  start_timeout: 30\n",
         "4:18+2 error bad-duration: \"30\" has no unit | write 30s\n"},
        {"word for a unit",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  start_timeout: 30 seconds\n",
         "4:18+10 error bad-duration: \"30 seconds\" is not a length of time | write 30s\n"},
        {"minutes and hours swapped",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  start_timeout: 30m1h\n",
         "4:18+5 error bad-duration: \"30m1h\" is not a length of time | write it like 500ms, 30s, 5m or 1h30m\n"},
        {"too long",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  start_timeout: 3h\n",
         "4:18+2 error out-of-range: \"3h\" is too large for \"start_timeout\" | at most 1h\n"},
        {"off where it is not known",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  start_timeout: off\n",
         "4:18+3 error bad-duration: \"off\" is not a length of time | write it like 500ms, 30s, 5m or 1h30m\n"},
        {"minutes or megabytes",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    max_body: 10m\n",
         "7:15+3 error bad-size: \"10m\" is not a size: minutes or megabytes? write 10MiB or 10MB | \n"},
        {"size in lower case",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    max_body: 10mb\n",
         "7:15+4 error bad-size: \"10mb\" is not a size | write 10MB, or off\n"},
        {"size without a unit",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    max_body: 1000\n",
         "7:15+4 error bad-size: \"1000\" has no unit | write 1000B, or 1000KiB, or 1000MiB, or off\n"},
        {"yes",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  required: yes\n",
         "4:13+3 error bad-boolean: \"yes\" is not true or false | write true\n"},
        {"on",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  required: on\n",
         "4:13+2 error bad-boolean: \"on\" is not true or false | write true\n"},
        {"capital",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  required: True\n",
         "4:13+4 error bad-boolean: \"True\" is not true or false | write true\n"},
        {"unknown word",
         "listen: \":8080\"\n"
         "app: prog\n"
         "logging: { level: loud }\n",
         "3:19+4 error bad-word: \"loud\" is not a value of \"level\" | one of trace, debug, info, warn, error\n"},
        {"word with a slip",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  balance: least_request\n",
         "4:12+13 error bad-word: \"least_request\" is not a value of \"balance\" | did you mean "
         "\"least_requests\"?\n"},
        {"word not built yet",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  balance: hash\n",
         "4:12+4 error not-supported: \"hash\" is not supported yet | one of least_requests, round_robin\n"},
        {"a protocol of later",
         "listeners: { web: { address: \":8443\", protocols: [h3] } }\n"
         "app: prog\n",
         "1:51+2 error not-supported: \"h3\" is not supported yet | one of http/1.1, h2\n"},
        {"a share",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  recycle: { jitter: 101% }\n",
         "4:22+4 error bad-share: \"101%\" is not a share | write it like 10%\n"},
        {"backoff",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  restart: { backoff: 1s }\n",
         "4:23+2 error bad-span: \"1s\" is not two lengths of time | write it like 500ms-30s\n"},
        {"crash loop",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  restart: { crash_loop: 5 }\n",
         "4:26+1 error bad-rate: \"5\" is not a count in a time | write it like 5/60s\n"},
        {"statuses",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  health: { path: /up, expect: 2xx }\n",
         "4:32+3 error bad-status: \"2xx\" is not a range of statuses | write it like 200-399, 204 or any\n"},
        {"signal",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  stop_signal: SIGTERM\n",
         "4:16+7 error bad-word: \"SIGTERM\" is not a value of \"stop_signal\" | one of TERM, INT, QUIT, HUP, USR1, "
         "USR2\n"},
        {"variable not set",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: ${NOPE}\n",
         "4:16+7 error bad-variable: variable NOPE is not set | set it, or write ${NAME:-default}; a plain dollar is "
         "$$\n"},
        {"variable with a message",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: \"${NOPE:?say where}\"\n",
         "4:16+20 error bad-variable: variable NOPE is not set: say where | set it, or write ${NAME:-default}; a plain "
         "dollar is $$\n"},
        {"variable not closed",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: \"${NOPE\"\n",
         "4:16+8 error bad-variable: \"${\" without \"}\" | set it, or write ${NAME:-default}; a plain dollar is $$\n"},
        {"bad name of a variable",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  working_dir: \"${1X}\"\n",
         "4:16+7 error bad-variable: \"${1X}\" is no variable: write ${NAME}, ${NAME:-default} or ${NAME:?message} | "
         "set it, or write ${NAME:-default}; a plain dollar is $$\n"},
        {"a secret of the wrong type",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  workers: ${SECRET}\n",
         "4:12+9 error bad-number: \"${SECRET}\" becomes something that is not valid here | \n"},
    }));
    INFO(name);
    CHECK(problems_of(text) == expected);
}

TEST_CASE("nesting is bounded", "[config][load]") {
    const std::string preamble = "listen: \":8080\"\napp: prog\nx-a: ";
    CHECK(problems_of(preamble + std::string(80, '[') + std::string(80, ']')) ==
          "3:69+1 error too-deep: nested too deeply: more than 64 levels | \n");
    CHECK(problems_of(preamble + std::string(5000, '[')).find("error too-deep") != std::string::npos);
    CHECK(problems_of(preamble + std::string(60'000, '[')).find("error too-deep") != std::string::npos);
    CHECK(problems_of(preamble + std::string(60, '[') + std::string(60, ']')).empty());
}

TEST_CASE("the size of a file is bounded", "[config][load]") {
    const std::string preamble = "listen: \":8080\"\napp: prog\n";
    CHECK(problems_of(preamble + "#" + std::string(longest_line, ' ')) ==
          "3:1+1 error too-large: the line is longer than 64 KiB | \n");
    CHECK(problems_of(preamble + std::string(largest_file, '\n')) ==
          "1:1+1 error too-large: the file is larger than 4 MiB | \n");
    std::string many = preamble + "x-a: [";
    for (std::size_t i = 0; i < most_nodes; ++i) many += "a,\n";
    CHECK(problems_of(many + "]\n").find("error too-large") != std::string::npos);
}
