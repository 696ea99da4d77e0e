// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/record_ring.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <thread>

using edgeproxy::admin::RecordRing;

namespace {

struct Item {
    std::uint32_t number;
    std::uint32_t size;
};

bool put(RecordRing& ring, std::uint32_t number, std::uint32_t size) {
    void* const place = ring.reserve(sizeof(Item) + size);
    if (place == nullptr) return false;
    const Item item{number, size};
    std::memcpy(place, &item, sizeof item);
    std::memset(static_cast<char*>(place) + sizeof item, static_cast<char>(number), size);
    ring.commit();
    return true;
}

/// The number of the next record if its bytes are what `put` wrote, else -1; -2 when there is none.
long take(RecordRing& ring) {
    const void* const place = ring.front();
    if (place == nullptr) return -2;
    Item item{};
    std::memcpy(&item, place, sizeof item);
    const std::string body(static_cast<const char*>(place) + sizeof item, item.size);
    ring.pop();
    return body == std::string(item.size, static_cast<char>(item.number)) ? static_cast<long>(item.number) : -1;
}

}  // namespace

TEST_CASE("records of every length come out whole and in order, round after round", "[admin][ring]") {
    RecordRing ring(4096);
    std::uint32_t in = 0, out = 0;
    for (int round = 0; round < 2000; ++round) {
        while (put(ring, in, (in * 37) % 700)) ++in;
        for (int i = 0; i < 3; ++i) {
            const long got = take(ring);
            if (got == -2) break;
            REQUIRE(got == static_cast<long>(out));
            ++out;
        }
    }
    CHECK(out > 1000);
}

TEST_CASE("a full ring refuses and takes again when something left", "[admin][ring]") {
    RecordRing ring(4096);
    std::uint32_t in = 0;
    while (put(ring, in, 100)) ++in;
    CHECK(ring.crowded());
    CHECK_FALSE(put(ring, in, 100));
    CHECK(take(ring) == 0);
    CHECK(take(ring) == 1);
    CHECK(put(ring, in, 100));
}

TEST_CASE("a record larger than the ring is refused", "[admin][ring]") {
    RecordRing ring(4096);
    CHECK(ring.reserve(4096) == nullptr);
    CHECK(ring.empty());
}

TEST_CASE("what is reserved and not committed is not there", "[admin][ring]") {
    RecordRing ring(4096);
    CHECK(ring.reserve(10) != nullptr);
    CHECK(ring.empty());
    CHECK(ring.front() == nullptr);
}

TEST_CASE("one thread writes, another reads, nothing is lost or torn", "[admin][ring]") {
    RecordRing ring(8192);
    constexpr std::uint32_t most = 200'000;
    std::thread writer([&] {
        for (std::uint32_t i = 0; i < most;) {
            if (put(ring, i, i % 97)) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    bool right = true;
    for (std::uint32_t i = 0; i < most;) {
        const long got = take(ring);
        if (got == -2) {
            std::this_thread::yield();
            continue;
        }
        right = right && got == static_cast<long>(i);
        ++i;
    }
    writer.join();
    CHECK(right);
    CHECK(ring.empty());
}
