// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

constexpr std::string_view host = "Host: a\r\n";

std::string verdict(const std::string& bytes, const Limits& limits) {
    return at_every_cut(bytes, [&](std::string_view in, const Cuts& cuts) { return request(in, cuts, limits); });
}

bool passes(const std::string& bytes, const Limits& limits) {
    return verdict(bytes, limits).find('|') != std::string::npos;
}

std::string with_field(std::size_t name, std::size_t value) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(name, 'n') + ":" + std::string(value, 'v') + "\r\n\r\n";
}

}  // namespace

TEST_CASE("a request line may be as long as its limit and no longer", "[http][limits]") {
    const Limits limits{.request_line = 40};
    const auto with_target = [](std::size_t size) {
        return "GET /" + std::string(size - 1, 't') + " HTTP/1.1\r\nHost: a\r\n\r\n";
    };
    CHECK(passes(with_target(40 - 13), limits));
    CHECK(verdict(with_target(40 - 13 + 1), limits) == "line_too_long");
    CHECK(verdict(with_target(400), limits) == "line_too_long");
    CHECK(verdict(with_target(40).substr(0, 40), limits) == "...");
}

TEST_CASE("a name, a field and a head have their own limits", "[http][limits]") {
    const Limits limits{.header_bytes = 200, .field = 60, .name = 20};
    CHECK(passes(with_field(20, 1), limits));
    CHECK(verdict(with_field(21, 1), limits) == "field_too_large");
    CHECK(passes(with_field(10, 50), limits));
    CHECK(verdict(with_field(10, 51), limits) == "field_too_large");
    // 38 for Host (with its blank), then 32 and the bytes of the field
    const Limits small{.header_bytes = 100};
    CHECK(passes(with_field(10, 20), small));
    CHECK(verdict(with_field(10, 21), small) == "head_too_large");
    CHECK(verdict(with_field(31, 0), small) == "head_too_large");
    CHECK(verdict(with_field(300, 0), small) == "head_too_large");
    const Limits tiny{.header_bytes = 50};
    CHECK(verdict(with_field(1, 0), tiny) == "head_too_large");
}

TEST_CASE("blanks around a value count like the value", "[http][limits]") {
    const Limits limits{.field = 60};
    const std::string blanks = "GET / HTTP/1.1\r\nHost: a\r\nn:" + std::string(60, ' ') + "\r\n\r\n";
    CHECK(verdict(blanks, limits) == "field_too_large");
}

TEST_CASE("there may be as many fields as the limit says and no more", "[http][limits]") {
    std::string head = "GET / HTTP/1.1\r\n" + std::string(host);
    for (int i = 1; i < 100; ++i) head += "x: 1\r\n";
    CHECK(request(head + "\r\n", Cuts{head.size() + 2}).find('|') != std::string::npos);
    head += "x: 1\r\n\r\n";
    CHECK(request(head, Cuts{head.size()}) == "too_many_fields");
    CHECK(request(head, single_bytes(head.size())) == "too_many_fields");
}

TEST_CASE("a buffer of head_size never runs full without a verdict", "[http][limits]") {
    const Limits limits{.request_line = 50, .header_bytes = 300, .field = 100, .name = 30, .fields = 7};
    std::string longest = "GET /" + std::string(50 - 14, 't') + " HTTP/1.1\r\n" + std::string(host);
    const std::string endings[] = {std::string(1000, 'n'), "n:" + std::string(1000, 'v'),
                                   "n:" + std::string(1000, ' ')};
    for (const std::string& ending : endings) {
        for (std::string_view filler : {"", "a: b\r\n", "a: b\r\na: b\r\na: b\r\n"}) {
            const std::string bytes = "\r\n" + longest + std::string(filler) + ending;
            CHECK(request(bytes, Cuts{limits.head_size()}, limits) != "...");
        }
    }
}

TEST_CASE("large but honest heads are served", "[http][limits]") {
    std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
    head += "Cookie: " + std::string(4096, 'c') + "\r\nCookie: " + std::string(4096, 'c') + "\r\n";
    for (int i = 0; i < 97; ++i) head += "x-" + std::to_string(i) + ": " + std::string(190, 'v') + "\r\n";
    head += "\r\n";
    CHECK(request(head, Cuts{head.size()}).find('|') != std::string::npos);
}

TEST_CASE("an endpoint's head has its own limits", "[http][limits][response]") {
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 200; ++i) head += "x: 1\r\n";
    CHECK(response(head + "\r\n", Cuts{head.size() + 2}).find('|') != std::string::npos);
    head += "x: 1\r\n\r\n";
    CHECK(response(head, Cuts{head.size()}) == "too_many_fields");
    const std::string reason = "HTTP/1.1 200 " + std::string(9000, 'r') + "\r\n\r\n";
    CHECK(response(reason, Cuts{reason.size()}) == "line_too_long");
    const std::string large = "HTTP/1.1 200 OK\r\nx: " + std::string(70000, 'v') + "\r\n\r\n";
    CHECK(response(large, Cuts{large.size()}) == "head_too_large");
}

}  // namespace edgeproxy::http::test
