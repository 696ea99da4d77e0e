// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <string>

#include "proxy/http/http1_writer.hpp"

namespace edgeproxy::http {

TEST_CASE("a head is written as it is told", "[http][writer]") {
    char buffer[256];
    HeadWriter writer(buffer);
    writer.status_line(200);
    writer.field("Content-Length", std::uint64_t{18446744073709551615U});
    writer.field("X-A", "b");
    writer.end_head();
    CHECK(writer.text() == "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\nX-A: b\r\n\r\n");
    CHECK_FALSE(writer.overflowed());
}

TEST_CASE("a status line has the reason it is given, or the usual one, or none", "[http][writer]") {
    const auto line = [](unsigned status, std::string_view reason) {
        char buffer[128];
        HeadWriter writer(buffer);
        writer.status_line(status, reason);
        return std::string(writer.text());
    };
    CHECK(line(404, "") == "HTTP/1.1 404 Not Found\r\n");
    CHECK(line(404, "Not Found") == "HTTP/1.1 404 Not Found\r\n");
    CHECK(line(404, "Gone Fishing") == "HTTP/1.1 404 Gone Fishing\r\n");
    CHECK(line(505, "") == "HTTP/1.1 505 HTTP Version Not Supported\r\n");
    CHECK(line(299, "") == "HTTP/1.1 299 \r\n");
    CHECK(line(999, "odd") == "HTTP/1.1 999 odd\r\n");
    CHECK(reason_of(503) == "Service Unavailable");
    CHECK(reason_of(100) == "Continue");
    CHECK(reason_of(599).empty());
    CHECK(reason_of(99).empty());
}

TEST_CASE("a field that was read is written in the usual form", "[http][writer]") {
    for (std::string_view line : {"Name: value", "Name:value", "Name:  value", "Name:\tvalue"}) {
        char buffer[64];
        HeadWriter writer(buffer);
        writer.field(Field{line.substr(0, 4), line.substr(line.size() - 5), FieldId::other});
        CHECK(writer.text() == "Name: value\r\n");
        HeadWriter small(std::span<char>(buffer, 12));
        small.field(Field{line.substr(0, 4), line.substr(line.size() - 5), FieldId::other});
        CHECK(small.overflowed());
    }
}

TEST_CASE("a writer never passes the end of its buffer", "[http][writer]") {
    const auto write = [](HeadWriter& writer) {
        writer.request_line("GET", "/a");
        writer.field("Host", "b");
        writer.field("N", std::uint64_t{12345});
        writer.chunk_line(0x1234);
        writer.last_chunk();
    };
    char all[256];
    HeadWriter whole(all);
    write(whole);
    REQUIRE_FALSE(whole.overflowed());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        std::string buffer(size + 8, '#');
        HeadWriter writer(std::span<char>(buffer.data(), size));
        write(writer);
        CHECK(writer.overflowed());
        CHECK(writer.size() <= size);
        CHECK(buffer.substr(size) == "########");
    }
}

}  // namespace edgeproxy::http
