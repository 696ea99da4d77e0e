// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/sightings.hpp"

#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

control::EndpointSeen seen(const char* endpoint, const char* address, const char* state) {
    return {.pool = "far", .endpoint = endpoint, .address = address, .state = state};
}

TEST_CASE("what the proxy sees is dated by its first sight, and replaced as a whole", "[sightings]") {
    Sightings sightings;
    sightings.hear({{seen("api", "10.0.0.1:80", "ready"), seen("api", "10.0.0.2:80", "ready")}}, 100);
    sightings.hear({{seen("api", "10.0.0.1:80", "ready"), seen("api", "10.0.0.2:80", "ejected")}}, 101);
    sightings.hear({{seen("api", "10.0.0.1:80", "ready"), seen("api", "10.0.0.2:80", "ejected")}}, 102);
    const auto all = sightings.of("far");
    REQUIRE(all.size() == 2);
    CHECK((all[0]->since == 100 && all[0]->state == "ready"));
    CHECK((all[1]->since == 101 && all[1]->state == "ejected"));
    CHECK(sightings.of("near").empty());
    CHECK(sightings.find("far", "api") == all[0]);
    CHECK(sightings.find("far", "other") == nullptr);

    sightings.hear({{seen("other", "10.0.0.3:80", "ready")}}, 103);
    CHECK(sightings.find("far", "api") == nullptr);
    CHECK(sightings.find("far", "other")->since == 103);
    sightings.forget();
    CHECK(sightings.of("far").empty());
}

}  // namespace
}  // namespace edgeproxy::master
