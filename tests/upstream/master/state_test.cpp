// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/state.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

namespace edgeproxy::master {
namespace {

using std::chrono::milliseconds;

TimePoint at(int ms) {
    return TimePoint(milliseconds(ms));
}

config::Address address(const std::string& path) {
    return {config::Address::Kind::unix_path, path, 0};
}

IncarnationProcess::Memory worker() {
    IncarnationProcess::Memory out;
    out.id = 12;
    out.pid = 4711;
    out.machine = {WorkerState::draining, WorkerEnd::unhealthy, true, true, at(5), {milliseconds(30), at(6)}, {}};
    out.socket = {address("/run/w12.sock"), "/run/w12", "/run/w12/s", "/run/w12.sock", true, false};
    out.lines = {"one", "", std::string("zero \0 inside", 13)};
    out.out = 20;
    out.err = -1;
    out.out_rest = {"half a li", true};
    out.journey = {at(1), at(2), std::nullopt};
    out.started_at = 1700000000;
    out.rss_bytes = 1, out.requests = 2, out.in_flight = 3;
    out.rejected = "status 503";
    out.sickness = "GET /healthz: timeout", out.sick_since = 1700000003;
    out.recycling = {100, 200, config::Duration(300), 4, 5, 6};
    out.replaces = true;
    out.drain_reason = control::DrainReason::health;
    return out;
}

State sample() {
    State out;
    out.config_text = "listen: ':8443'\n";
    out.started_at = 1700000000;
    out.core_soft = 0, out.core_hard = ~std::uint64_t{0};
    out.last_incarnation = 12, out.keys_number = 3;
    out.told_ready = true;
    out.unwritten = "a line\n";
    out.run_dir = "/run/edgeproxy/1";
    out.lock = 5;
    out.sockets = {{"http", {config::Address::Kind::tcp, "0.0.0.0", 80}, address("x"), 1, 6}};
    out.last_socket = 9;
    out.keys = {{0, 3, "/etc/cert.pem", {7, 8, -1, -1, -1, -1}}};
    out.endpoint_keys = {{1, 2, "/etc/roots.pem", {9, 10, -1, 11, -1, -1}}};
    out.control = {12, "/run/edgeproxy/control.sock", {1, 2, 3, 4, 5}};
    out.reload = {4, 6, {1, 2, 3}, "it was refused", 1700000001, {{"app", "it did not come up"}}, {{"new", "exit 3"}}};
    out.upgrade = {{1, 0, 2}, "", "0.0.9", 13, at(99)};
    out.proxy = {815, 14, 2, at(7)};
    out.guard_pid = 816, out.guard_pipe = 15;
    Crew::Memory crew;
    crew.pool = "app", crew.wanted = 2;
    Crew::SeatMemory waiting;
    waiting.slot = {{at(1), at(2)}, 3, 2, 1};
    waiting.next_start = at(500);
    waiting.pending_reason = control::RestartReason::crash;
    waiting.restarts = {1, 2, 3, 4, 5, 6};
    crew.seats = {waiting, {{}, std::nullopt, {}, std::nullopt, worker()}};
    crew.ever_ready = crew.pinned = true;
    crew.decisions = {1, 2, 3, 4, 5};
    crew.last_reason = "app-1: exit 3", crew.last_lines = {"Traceback"};
    out.crews = {crew};
    out.resting = {{{"app", "app-2"}, 1700000002}};
    out.late_pools = {"later"};
    return out;
}

TEST_CASE("what the next program reads of the state is what was written", "[state]") {
    const State written = sample();
    const DecodedState read = decode_state(encode(written));
    INFO(read.error);
    REQUIRE(read.state);
    CHECK(*read.state == written);
    CHECK(*decode_state(encode(State{})).state == State{});
}

TEST_CASE("a worker may be draining for any reason", "[state]") {
    for (std::size_t reason = 0; reason < control::drain_reasons; ++reason) {
        State state = sample();
        state.crews[0].seats[1].worker->drain_reason = static_cast<control::DrainReason>(reason);
        INFO(word(static_cast<control::DrainReason>(reason)));
        const DecodedState read = decode_state(encode(state));
        REQUIRE(read.state);
        CHECK(*read.state == state);
    }
}

TEST_CASE("its descriptors are all of those that are there", "[state]") {
    std::vector<int> all = sample().descriptors();
    std::sort(all.begin(), all.end());
    CHECK(all == std::vector<int>{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20});
}

TEST_CASE("a state that is cut, longer, or of another version is refused with its reason", "[state]") {
    const std::string bytes = encode(sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const DecodedState read = decode_state(std::span(bytes).first(size));
        INFO(size);
        REQUIRE_FALSE(read.state);
        REQUIRE_FALSE(read.error.empty());
    }
    CHECK(decode_state(bytes + '\0').error == "the state is damaged");
    CHECK(decode_state(std::string("#!/bin/sh\nexit 0 and so on\n")).error == "this is no state of a master");
    std::string later = bytes;
    later[bytes.find('\n') + 1] = 9;
    CHECK(decode_state(later).error == "the state has version 9, this program knows version 2; restart it instead");
}

TEST_CASE("a byte that is no value of its place is refused", "[state]") {
    State state = sample();
    const std::string whole = encode(state);
    state.crews[0].seats[1].worker->machine.state = static_cast<WorkerState>(6);
    CHECK(decode_state(encode(state)).error == "the state is damaged");
    // A length beyond the end must not be believed.
    std::string bytes = whole;
    const std::size_t length = bytes.find('\n') + 1 + 8 + 8;
    for (std::size_t i = 0; i < 8; ++i) bytes[length + i] = '\x7f';
    CHECK(decode_state(bytes).error == "the state is damaged");
}

}  // namespace
}  // namespace edgeproxy::master
