// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/host_check.hpp"

#include <catch2/catch.hpp>

using edgeproxy::admin::is_allowed_host;

TEST_CASE("only addresses, localhost and configured names are hosts of the metrics page", "[admin][host]") {
    const auto [host, allowed] = GENERATE(table<std::string, bool>({
        {"localhost", true},
        {"LOCALHOST:9900", true},
        {"localhost.", true},
        {"127.0.0.1", true},
        {"127.0.0.1:9900", true},
        {"10.1.2.3:80", true},
        {"[::1]", true},
        {"[::1]:9900", true},
        {"[2001:db8::1]:9900", true},
        {"metrics.example.com", true},
        {"Metrics.Example.Com:9900", true},
        {"", false},
        {":9900", false},
        {"evil.example", false},
        {"localhost.evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"x.metrics.example.com", false},
        {"[::1", false},
        {"[evil.example]", false},
        {"[::1]x", false},
        {"::1", false},
        {"127.0.0.1:evil", false},
        {"127.0.0.1:123456", false},
        {"1", false},
    }));
    CAPTURE(host);
    CHECK(is_allowed_host(host, {"metrics.example.com"}) == allowed);
}
