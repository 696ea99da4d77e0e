// SPDX-License-Identifier: Apache-2.0
#include "tls/tickets.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

using namespace edgeproxy;
using namespace std::chrono_literals;
using tls::TicketKeys;

namespace {

const io::TimePoint start{1000h};

bool knows(const TicketKeys& keys, const TicketKeys::Key& key) {
    TicketKeys::Key found;
    bool current;
    return keys.find(key.name, found, current) && found.cipher == key.cipher && found.mac == key.mac;
}

}  // namespace

TEST_CASE("a key encrypts for twelve hours and decrypts for twenty-four", "[tls][tickets]") {
    TicketKeys keys{start};
    const TicketKeys::Key first = keys.current();
    CHECK_FALSE(keys.advance(start + 11h + 59min));
    CHECK(keys.current().name == first.name);
    CHECK(keys.advance(start + 12h));
    CHECK(keys.current().name != first.name);
    CHECK(knows(keys, first));
    CHECK_FALSE(keys.advance(start + 23h));
    CHECK(knows(keys, first));
    CHECK(keys.advance(start + 24h));
    CHECK_FALSE(knows(keys, first));
}

TEST_CASE("only the newest key is the current one", "[tls][tickets]") {
    TicketKeys keys{start};
    const TicketKeys::Key first = keys.current();
    keys.advance(start + 12h);
    TicketKeys::Key found;
    bool current = true;
    REQUIRE(keys.find(first.name, found, current));
    CHECK_FALSE(current);
    REQUIRE(keys.find(keys.current().name, found, current));
    CHECK(current);
}

TEST_CASE("after a long sleep all old keys are gone", "[tls][tickets]") {
    TicketKeys keys{start};
    const TicketKeys::Key first = keys.current();
    keys.advance(start + 12h);
    const TicketKeys::Key second = keys.current();
    CHECK(keys.advance(start + 100h));
    CHECK_FALSE(knows(keys, first));
    CHECK_FALSE(knows(keys, second));
}

TEST_CASE("exported keys serve on in another process", "[tls][tickets]") {
    TicketKeys keys{start};
    const TicketKeys::Key first = keys.current();
    keys.advance(start + 12h);
    const std::string bytes = keys.export_keys();

    TicketKeys heir{start + 13h};
    const TicketKeys::Key own = heir.current();
    REQUIRE(heir.import_keys(bytes, start + 13h));
    CHECK(heir.current().name == keys.current().name);
    CHECK(knows(heir, first));
    CHECK_FALSE(knows(heir, own));
    CHECK(heir.advance(start + 24h));  // ages go on where they were
    CHECK_FALSE(knows(heir, first));
}

TEST_CASE("broken or useless exports change nothing", "[tls][tickets]") {
    TicketKeys keys{start};
    const std::string bytes = keys.export_keys();
    TicketKeys heir{start};
    const auto own = heir.current().name;
    CHECK_FALSE(heir.import_keys("", start));
    CHECK_FALSE(heir.import_keys(std::string_view(bytes).substr(1), start));
    CHECK_FALSE(heir.import_keys("X" + bytes.substr(1), start));
    CHECK_FALSE(heir.import_keys(bytes, start - 1h));   // from the future
    CHECK_FALSE(heir.import_keys(bytes, start + 25h));  // all of it too old
    CHECK(heir.current().name == own);
}

TEST_CASE("readers see whole keys while a writer rotates", "[tls][tickets]") {
    TicketKeys keys{start};
    std::atomic<bool> stop{false};
    std::atomic<int> found{0}, torn{0};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!stop.load(std::memory_order_relaxed)) {
                const TicketKeys::Key current = keys.current();
                TicketKeys::Key same;
                bool newest;
                if (!keys.find(current.name, same, newest)) continue;  // rotated out in between
                found.fetch_add(1, std::memory_order_relaxed);
                if (same.cipher != current.cipher || same.mac != current.mac) torn.fetch_add(1);
            }
        });
    }
    io::TimePoint now = start;
    for (int i = 0; i < 3000 || found.load() < 1000; ++i) keys.advance(now += 12h);
    stop = true;
    readers.clear();
    CHECK(torn == 0);
}
