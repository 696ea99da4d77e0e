// SPDX-License-Identifier: Apache-2.0
// Bodies whose chunks lie together in a buffer.
#include "proxy/input.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace edgeproxy;
using namespace edgeproxy::proxy;

namespace {

struct Reading {
    Input input;
    http::BodyReader body;

    explicit Reading(io::BufferPool& pool) {
        input.buffer = pool.take_small();
        body.start({http::Body::Kind::chunked, 0}, nullptr);
    }
    void comes(std::string_view text) {
        REQUIRE(input.make_room());
        text.copy(input.buffer.data() + input.end, text.size());
        input.end += text.size();
    }
};

std::string chunk(std::string_view data) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (std::size_t size = data.size(); size > 0; size /= 16) text.insert(0, 1, digits[size % 16]);
    return text + "\r\n" + std::string(data) + "\r\n";
}

}  // namespace

TEST_CASE("chunks that lie together are one piece", "[proxy][input]") {
    io::BufferPool pool;
    Reading reading{pool};
    reading.comes(chunk("a") + chunk("bc") + "3;ext=1\r\ndef\r\n" + chunk("ghij"));
    const http::BodyStep step = next_of_body(reading.body, reading.input);
    CHECK(step.data == "abcdefghij");
    CHECK_FALSE(step.done);
    CHECK(reading.input.empty());
    reading.comes(chunk("k") + "0\r\n\r\nGET /next");
    const http::BodyStep last = next_of_body(reading.body, reading.input);
    CHECK(last.data == "k");
    CHECK(last.done);
    CHECK(reading.input.text() == "GET /next");
}

TEST_CASE("chunks are joined the same wherever they are cut", "[proxy][input]") {
    std::string wire, whole;
    for (std::size_t size = 1; size <= 40; ++size) {
        const std::string data(size, static_cast<char>('a' + size % 26));
        wire += chunk(data);
        whole += data;
    }
    wire += "0\r\n\r\n";
    io::BufferPool pool;
    for (std::size_t step = 1; step < 400; step = step * 3 + 1) {
        CAPTURE(step);
        Reading reading{pool};
        std::string got;
        bool done = false;
        for (std::size_t at = 0; at < wire.size(); at += step) {
            reading.comes(std::string_view(wire).substr(at, step));
            while (!reading.input.empty()) {
                const http::BodyStep next = next_of_body(reading.body, reading.input);
                REQUIRE(next.error == http::errc::ok);
                got += next.data;
                done = next.done;
            }
        }
        CHECK(got == whole);
        CHECK(done);
    }
}

TEST_CASE("what comes before broken framing is given out with the error", "[proxy][input]") {
    io::BufferPool pool;
    Reading reading{pool};
    reading.comes(chunk("a") + chunk("b") + "x\r\n");
    const http::BodyStep step = next_of_body(reading.body, reading.input);
    CHECK(step.data == "ab");
    CHECK(step.error == http::errc::bad_chunk);
    CHECK_FALSE(step.done);
}

TEST_CASE("a body of known length is not touched", "[proxy][input]") {
    io::BufferPool pool;
    Reading reading{pool};
    reading.body.start({http::Body::Kind::length, 5}, nullptr);
    reading.comes("helloGET /");
    const http::BodyStep step = next_of_body(reading.body, reading.input);
    CHECK(step.data == "hello");
    CHECK(step.done);
    CHECK(reading.input.text() == "GET /");
}
