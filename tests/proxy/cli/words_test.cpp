// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/words.hpp"

#include <catch2/catch.hpp>
#include <sstream>

using namespace edgeproxy::cli;

TEST_CASE("help fits a terminal and begins with three examples", "[cli]") {
    std::stringstream out;
    print_help(out);
    std::size_t lines = 0, examples = 0;
    for (std::string line; std::getline(out, line); ++lines) {
        CHECK(line.size() <= 80);
        examples += lines < 3 && line.starts_with("  edgeproxy ");
    }
    CHECK(lines <= 24);
    CHECK(examples == 3);
}

TEST_CASE("the version names the program first", "[cli]") {
    std::stringstream out;
    print_version(out, "OpenSSL 3.0.11", "1.52.0");
    CHECK(out.str().starts_with("edgeproxy " EDGEPROXY_VERSION "\n"));
    CHECK(out.str().find("OpenSSL 3.0.11") != std::string::npos);
    CHECK(out.str().find("1.52.0") != std::string::npos);
}
