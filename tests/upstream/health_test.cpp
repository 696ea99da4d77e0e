// SPDX-License-Identifier: Apache-2.0
#include "upstream/health.hpp"

#include <catch2/catch.hpp>
#include <string>

using edgeproxy::upstream::Health;

namespace {

/// Feeds probes ('+' passed, '-' failed) and writes down what was thought after each ('H' healthy, 'u' unhealthy).
std::string thoughts(const std::string& probes, Health::Policy policy, bool healthy = true) {
    Health health{healthy};
    std::string out;
    for (const char probe : probes) {
        health.observe(probe == '+', policy);
        out += health.healthy() ? 'H' : 'u';
    }
    return out;
}

}  // namespace

TEST_CASE("an endpoint changes its health only after enough probes in a row", "[upstream][health]") {
    struct Row {
        const char* probes;
        Health::Policy policy;
        const char* expected;
    };
    const auto row = GENERATE(values<Row>({
        {"---", {3, 1}, "HHu"},
        {"--+--", {3, 1}, "HHHHH"},      // a pass in between begins anew
        {"---+", {3, 1}, "HHuH"},        // one pass is enough to come back
        {"---+-++", {3, 2}, "HHuuuuH"},  // two passes in a row
        {"-", {1, 1}, "u"},
        {"-+-+", {1, 1}, "uHuH"},
        {"-", {0, 0}, "u"},  // nonsense of the caller: 0 counts as 1
        {"", {3, 1}, ""},
    }));
    CAPTURE(row.probes);
    CHECK(thoughts(row.probes, row.policy) == row.expected);
}

TEST_CASE("the verdict is told exactly once for each change", "[upstream][health]") {
    Health health;
    const Health::Policy policy{2, 2};
    using V = Health::Verdict;
    CHECK(health.observe(false, policy) == V::same);
    CHECK(health.observe(false, policy) == V::became_unhealthy);
    CHECK(health.observe(false, policy) == V::same);
    CHECK(health.observe(true, policy) == V::same);
    CHECK(health.observe(true, policy) == V::became_healthy);
    CHECK(health.observe(true, policy) == V::same);
}
