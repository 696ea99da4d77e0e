// SPDX-License-Identifier: Apache-2.0
#include "config/text.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy::config;

TEST_CASE("a number of things is one of them, or several", "[config][text]") {
    CHECK(counted(0, "worker") == "0 workers");
    CHECK(counted(1, "worker") == "1 worker");
    CHECK(counted(2, "worker") == "2 workers");
}

TEST_CASE("a text in quotes stays as it is", "[config][text]") {
    CHECK(in_quotes("") == "\"\"");
    CHECK(in_quotes("a \"b\"") == "\"a \"b\"\"");
}
