// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/config/support.hpp"

using namespace edgeproxy::config;

// line:column+length severity rule: text | hint
TEST_CASE("what is wrong with a number of workers is said at its place", "[config][load]") {
    const auto [name, text, expected] = GENERATE(table<std::string, std::string, std::string>({
        {"fewer than fewest",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: { min: 3, max: 2 } }\n",
         "2:57+1 error bad-order: app.workers.min is more than app.workers.max | \n"},
        {"scaling without an end",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: { min: 3 } }\n",
         "2:41+7 error missing-key: \"app.workers\" needs \"max\" | write { min: 1, max: 8 }\n"},
        {"beginning outside",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: 9, autoscale: { max: 2 } }\n",
         "2:50+1 error bad-order: the number to begin with is not within min and max | leave workers out to begin with "
         "min\n"},
        {"scaling that nothing asks for",
         "listen: \":8080\"\n"
         "app: { command: prog, workers: { max: 2 } }\n",
         "2:23+7 warning late-scaling: requests wait only when every worker has 256 of them: until then there is no "
         "further worker | write max_in_flight: what one worker does well at once\n"},
        {"scaling for endpoints",
         "listen: \":8080\"\n"
         "app: { endpoints: [\"127.0.0.1:8000\"], autoscale: { max: 2 } }\n",
         "2:39+9 error no-effect: key \"autoscale\" needs \"command\": nothing is started for endpoints of others | "
         "\n"},
        {"said twice",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: { max: 2 }, autoscale: { max: 3 } }\n",
         "2:41+7 error written-twice: write either workers with min and max or autoscale, not both | \n"},
        {"a key that is none",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: { minimum: 1, max: 2 } }\n",
         "2:52+7 error unknown-key: unknown key \"minimum\" in app.workers | edgeproxy calls this \"min\"\n"},
        {"no share",
         "listen: \":8080\"\n"
         "app: { command: prog, max_in_flight: 4, workers: { max: 2, memory: 1GiB } }\n",
         "2:68+4 error bad-share: \"1GiB\" is not a share | write it like 10%\n"},
    }));
    INFO(name);
    CHECK(problems_of(text) == expected);
}
