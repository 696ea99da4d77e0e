// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/process_metrics.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

#include "tests/proxy/admin/scratch.hpp"

using namespace edgeproxy::admin;

TEST_CASE("the process sees its own descriptors, memory and time", "[admin][process]") {
    const ProcessUsage before = read_process_usage();
    const test::Pipe one, two;
    const ProcessUsage after = read_process_usage();
    CHECK(before.open_fds >= 3);
    CHECK(after.open_fds == before.open_fds + 4);
    CHECK(after.max_fds >= after.open_fds);
    CHECK(after.resident_bytes > 1024 * 1024);
    CHECK(after.cpu_seconds >= before.cpu_seconds);
}

TEST_CASE("the start of the process lies in the near past", "[admin][process]") {
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    CHECK(read_process_start() <= now.count() + 1);
    CHECK(read_process_start() > now.count() - 3600);
}
