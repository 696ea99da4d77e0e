// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/proxy/http/wire.hpp"

namespace edgeproxy::http::test {
namespace {

constexpr Body chunked{Body::Kind::chunked, 0};

/// What a body that came in pieces says: its data, its trailers, and behind "| " the bytes left when it is done; "..."
/// when it is not; or the error. Each piece lies in memory of its own.
std::string body(std::string_view bytes, const Cuts& cuts, const Body& kind = chunked) {
    Trailers trailers;
    BodyReader reader(kind, &trailers);
    std::string data;
    std::size_t from = 0, used = 0;
    for (std::size_t to : cuts) {
        const std::string piece(bytes.substr(from, to - from));
        std::string_view in = piece;
        while (!in.empty() && !reader.done()) {
            const BodyStep step = reader.next(in);
            if (step.error != errc::ok) return std::string(word(step.error));
            data += step.data;
            used += step.consumed;
            in.remove_prefix(step.consumed);
        }
        from = to;
    }
    if (!reader.done()) return data + " ...";
    return data + describe(trailers.fields()) + " | " + std::string(bytes.substr(used));
}

std::string body(std::string_view bytes, const Body& kind = chunked) {
    return at_every_cut(bytes, [&](std::string_view in, const Cuts& cuts) { return body(in, cuts, kind); });
}

// The grammar of RFC 9112, section 7.1 without trailers and extensions, as naively as can be.
std::string model(std::string_view in) {
    std::string data;
    std::size_t at = 0;
    for (;;) {
        std::uint64_t size = 0;
        int digits = 0;
        for (; at < in.size() && hex_value(in[at]) >= 0; ++at, ++digits) {
            size = size * 16 + static_cast<std::uint64_t>(hex_value(in[at]));
        }
        if (digits > 15) return "bad";
        if (at == in.size()) return "...";
        if (digits == 0 || in[at] != '\r') return "bad";
        if (++at == in.size()) return "...";
        if (in[at++] != '\n') return "bad";
        if (size > 0) {
            if (size > in.size() - at) return "...";
            data += in.substr(at, size);
            at += size;
        }
        if (at == in.size()) return "...";
        if (in[at] != '\r') return "bad";
        if (++at == in.size()) return "...";
        if (in[at++] != '\n') return "bad";
        if (size == 0) return data + " | " + std::string(in.substr(at));
    }
}

}  // namespace

TEST_CASE("a body with a length ends after it", "[http][body]") {
    CHECK(body("hello world", Body{Body::Kind::length, 5}) == "hello |  world");
    CHECK(body("hell", Body{Body::Kind::length, 5}) == "hell ...");
    CHECK(BodyReader(Body{Body::Kind::length, 0}).done());
    CHECK(BodyReader(Body{}).done());
}

TEST_CASE("a body until the end of the stream has no other end", "[http][body]") {
    BodyReader reader(Body{Body::Kind::until_close, 0});
    CHECK(reader.next("0\r\n\r\n").data == "0\r\n\r\n");
    CHECK_FALSE(reader.done());
    CHECK(reader.complete_at_eof());
    CHECK_FALSE(BodyReader(chunked).complete_at_eof());
    CHECK_FALSE(BodyReader(Body{Body::Kind::length, 1}).complete_at_eof());
}

TEST_CASE("chunks are put together and their framing is gone", "[http][body]") {
    CHECK(body("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nrest") == "hello world | rest");
    CHECK(body("0\r\n\r\n") == " | ");
    CHECK(body("000000000000000\r\n\r\n") == " | ");
    CHECK(body("00000000000000A\r\n0123456789\r\n0\r\n\r\n") == "0123456789 | ");
    CHECK(body("1;a\r\nx\r\n1;b=c;d=\"e \xe9\"\r\ny\r\n0;z\r\n\r\n") == "xy | ");
    CHECK(body("5\r\nhel") == "hel ...");
    CHECK(body("1\r\nx\r\n0\r\n\r") == "x ...");
}

TEST_CASE("trailers are kept apart, and forbidden ones are dropped", "[http][body]") {
    CHECK(
        body("0\r\nX-Sum: 1 \r\nContent-Length: 7\r\nHost: b\r\nAuthorization: x\r\nGrpc-Status:0\r\nEmpty:\r\n\r\n") ==
        " [X-Sum=1] [Grpc-Status=0] [Empty=] | ");
    CHECK(body("0\r\nContent_Length: 7\r\nx_forwarded_for: 1\r\nmy_key: 2\r\n\r\n") == " [my_key=2] | ");
    Trailers trailers;
    BodyReader reader(chunked, &trailers);
    CHECK(reader.next("0\r\nCookie: a\r\nX: 1\r\n\r\n").done);
    CHECK(trailers.dropped() == 1);
    CHECK(BodyReader(chunked).next("0\r\nX: 1\r\n\r\n").done);
    Trailers from_client(Trailers::OddNames::drop);
    BodyReader strict(chunked, &from_client);
    CHECK(strict.next("0\r\nmy_key: 2\r\nX.Y: 3\r\nX-Y: 4\r\n\r\n").done);
    CHECK((from_client.dropped() == 2 && from_client.fields().size() == 1 && from_client.fields()[0].name == "X-Y"));
}

TEST_CASE("chunk framing that two readers could take differently is refused", "[http][body]") {
    const std::pair<std::string_view, errc> rows[] = {
        {"\r\n", errc::bad_chunk},
        {"x\r\n", errc::bad_chunk},
        {" 5\r\n", errc::bad_chunk},
        {"5 \r\n", errc::bad_chunk},
        {"5\t;a\r\n", errc::bad_chunk},
        {"+5\r\n", errc::bad_chunk},
        {"-5\r\n", errc::bad_chunk},
        {"0x5\r\n", errc::bad_chunk},
        {"5_0\r\n", errc::bad_chunk},
        {"1000000000000000\r\n", errc::bad_chunk},
        {"0000000000000005\r\n", errc::bad_chunk},
        {"5\nhello\r\n0\r\n\r\n", errc::bad_chunk},
        {"5\r\rhello", errc::bad_chunk},
        {"5\r\nhello0\r\n\r\n", errc::bad_chunk},
        {"5\r\nhello\n0\r\n\r\n", errc::bad_chunk},
        {"5\r\nhello\rx0\r\n\r\n", errc::bad_chunk},
        {"5\r\nhelloXX0\r\n\r\n", errc::bad_chunk},
        {"5\r\nhello\r\n\r\n", errc::bad_chunk},
        {"5;\r\n", errc::bad_chunk},
        {"5;a\nhello\r\n0\r\n\r\n", errc::bad_chunk},
        {"5;a\rb\r\n", errc::bad_chunk},
        {"5;a\0b\r\n"sv, errc::bad_chunk},
        {"5;a\x7f\r\n", errc::bad_chunk},
        {"0\n\r\n", errc::bad_chunk},
        {"0\r\n\n", errc::bad_trailer},
        {"0\r\n\rx", errc::bad_trailer},
        {"0\r\nX\r\n\r\n", errc::bad_trailer},
        {"0\r\n: 1\r\n\r\n", errc::bad_trailer},
        {"0\r\nX : 1\r\n\r\n", errc::bad_trailer},
        {"0\r\nX: 1\n\r\n", errc::bad_trailer},
        {"0\r\nX: 1\rY: 2\r\n\r\n", errc::bad_trailer},
        {"0\r\nX: 1\r\n Y\r\n\r\n", errc::bad_trailer},
        {"0\r\n X: 1\r\n\r\n", errc::bad_trailer},
        {"0\r\nX: \x0b\r\n\r\n", errc::bad_trailer},
        {"0\r\nGET / HTTP/1.1\r\n\r\n", errc::bad_trailer},
    };
    for (const auto& [bytes, error] : rows) {
        INFO(bytes);
        CHECK(body(bytes) == word(error));
    }
}

TEST_CASE("extensions are names with values, and no place to lose one's way in", "[http][body]") {
    const auto chunk = [](std::string_view ext) {
        return body("1" + std::string(ext) + "\r\nx\r\n0" + std::string(ext) + "\r\n\r\n");
    };
    for (std::string_view good : {";a", ";a=b", ";a;b=c;d", ";a=\"\"", ";a=\"b c;=\t\"", ";a=\"\\\"\";b", ";a=\"\xe4\"",
                                  ";!#$%&'*+-.^_`|~=~"}) {
        INFO(good);
        CHECK(chunk(good) == "x | ");
    }
    for (std::string_view bad :
         {";",         ";;a",       ";a;",          ";=b",          ";a=",       ";a=;b", ";a==b", ";a=b=c",
          "; a",       ";a =b",     ";a= b",        " ;a",          "\t;a",      ";a ",   ";a=\"", ";a=\"b",
          ";a=\"b\"c", ";a=\"\\\"", ";a=\"b\x01\"", ";a=\"b\x7f\"", ";a=b\"c\"", ";a(b",  ";\xe4", ";a,b"}) {
        INFO(bad);
        CHECK(chunk(bad) == "bad_chunk");
    }
    CHECK(body("1;a=\"\r\n\"\r\nx\r\n0\r\n\r\n") == "bad_chunk");
    CHECK(body("1;a=\"\\\r\n\"\r\nx\r\n0\r\n\r\n") == "bad_chunk");
}

TEST_CASE("extensions and trailers are bounded", "[http][body]") {
    const auto chunk = [](std::size_t ext) { return "1;" + std::string(ext - 1, 'e') + "\r\nx\r\n"; };
    CHECK(body(chunk(256) + "0\r\n\r\n").find('|') != std::string::npos);
    CHECK(body(chunk(257)) == "chunk_ext_too_long");
    std::string many;
    for (int i = 0; i < 16; ++i) many += chunk(256);
    CHECK(body(many + "0\r\n\r\n", Cuts{many.size() + 5}).find('|') != std::string::npos);
    CHECK(body(many + "0;e\r\n\r\n", Cuts{many.size() + 7}) == "chunk_ext_too_long");

    std::string trailers = "0\r\n";
    for (int i = 0; i < 32; ++i) trailers += "x:" + std::string(127, 'v') + "\r\n";
    CHECK(body(trailers + "\r\n", Cuts{trailers.size() + 2}).find('|') != std::string::npos);
    CHECK(body(trailers + "y:\r\n\r\n", Cuts{trailers.size() + 6}) == "trailer_too_large");
    const std::string large = "0\r\nx:" + std::string(4096, 'v');
    CHECK(body(large, Cuts{large.size()}) == "trailer_too_large");
    const std::string name = "0\r\n" + std::string(257, 'n');
    CHECK(body(name, Cuts{name.size()}) == "trailer_too_large");
}

TEST_CASE("the reader agrees with a naive model on every changed byte", "[http][body]") {
    const std::string_view seed = "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
    for (std::size_t at = 0; at < seed.size(); ++at) {
        for (unsigned c = 0; c < 256; ++c) {
            if (c == ';' || at >= seed.size() - 2) continue;  // the model knows no extensions and no trailers
            std::string bytes(seed);
            bytes[at] = static_cast<char>(c);
            std::string expected = model(bytes);
            const std::string found = body(bytes);
            if (expected == "bad" && found.substr(0, 4) == "bad_") continue;
            if (expected == "..." && found.find(" ...") != std::string::npos) continue;
            INFO(bytes);
            CHECK(found == expected);
        }
    }
}

TEST_CASE("data that went past by splicing is counted", "[http][body]") {
    BodyReader reader(chunked);
    CHECK(reader.run() == 0);
    const BodyStep step = reader.next("1000\r\nabc");
    CHECK(step.data == "abc");
    CHECK(reader.run() == 0x1000 - 3);
    reader.skip(0x1000 - 3);
    CHECK(reader.run() == 0);
    CHECK(reader.next("\r\n0\r\n\r\n").done);

    BodyReader fixed(Body{Body::Kind::length, 10});
    fixed.skip(10);
    CHECK(fixed.done());
}

TEST_CASE("the last data and the end of the body come in one step", "[http][body]") {
    BodyReader reader(chunked);
    const BodyStep step = reader.next("2\r\nhi\r\n0\r\n\r\nGET /");
    CHECK(step.data == "hi");
    CHECK(step.done);
    CHECK(step.consumed == 12);
}

TEST_CASE("chunks that are written are chunks that are read", "[http][body][writer]") {
    char buffer[256];
    HeadWriter writer(buffer);
    for (std::string_view data : {"a"sv, "0123456789abcdef"sv}) {
        writer.chunk_line(data.size());
        writer.put(data);
        writer.put("\r\n");
    }
    const Field trailers[] = {{"X-Sum", "7", FieldId::other}};
    writer.last_chunk(trailers);
    CHECK(writer.text() == "1\r\na\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 7\r\n\r\n");
    CHECK(body(writer.text()) == "a0123456789abcdef [X-Sum=7] | ");
}

}  // namespace edgeproxy::http::test
