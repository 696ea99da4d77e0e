// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/command.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace edgeproxy::control {
namespace {

Request request(CommandVerb verb, std::string pool = {}, std::string worker = {}, std::uint32_t count = 0) {
    Request made;
    made.verb = verb;
    made.pool = std::move(pool);
    made.worker = std::move(worker);
    made.count = count;
    return made;
}

TEST_CASE("a request comes back as it was sent", "[command]") {
    Request json = request(CommandVerb::status), dry = request(CommandVerb::reload), now = request(CommandVerb::stop);
    json.json = dry.dry_run = now.now = true;
    const std::vector<Request> all{json,
                                   dry,
                                   now,
                                   request(CommandVerb::restart, "app"),
                                   request(CommandVerb::restart, "app", "app-2"),
                                   request(CommandVerb::scale, "app", {}, 4'000'000'000),
                                   request(CommandVerb::drain, std::string(max_operand, 'x'), "y"),
                                   request(CommandVerb::upgrade)};
    for (const Request& one : all) {
        INFO(word(one.verb));
        const auto bytes = encode(one);
        REQUIRE(bytes);
        CHECK(decode_request(*bytes) == one);
    }
}

TEST_CASE("a request that is cut anywhere, longer than itself or says what nobody knows is none", "[command]") {
    const std::string whole = *encode(request(CommandVerb::scale, "app", "w", 3));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        INFO(size);
        CHECK_FALSE(decode_request(std::span(whole.data(), size)));
    }
    CHECK_FALSE(decode_request(whole + "x"));
    for (const std::size_t place : {0U, 1U, 2U}) {
        std::string wrong = whole;
        wrong[place] = '\x7f';
        CHECK_FALSE(decode_request(wrong));
    }
    CHECK_FALSE(encode(request(CommandVerb::scale, std::string(max_operand + 1, 'x'))));
    CHECK_FALSE(decode_request(std::string(max_command + 1, '\1')));
}

TEST_CASE("a piece of an answer comes back as it was sent, and fits one record", "[command]") {
    for (const Piece& one : {Piece{Piece::Kind::result, 0, "text\n"}, Piece{Piece::Kind::note, 0, ""},
                             Piece{Piece::Kind::leaving, 0, ""}, Piece{Piece::Kind::done, 7, ""}}) {
        CHECK(decode_piece(encode(one)) == one);
    }
    const Piece longest{Piece::Kind::result, 0, std::string(max_piece_text, 'x')};
    CHECK(encode(longest).size() == max_command);
    CHECK(decode_piece(encode(longest)) == longest);
    for (const std::string& wrong :
         {std::string(), std::string("\1\1", 2), std::string("\1\4\0", 3), std::string("\2\1\0", 3)})
        CHECK_FALSE(decode_piece(wrong));
}

}  // namespace
}  // namespace edgeproxy::control
