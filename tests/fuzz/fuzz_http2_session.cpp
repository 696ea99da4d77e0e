// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "proxy/http/http2_session.hpp"
#include "proxy/http/text.hpp"

// The first byte chooses the cuts and what the server does; the rest is what a client sends behind its preface.
// Whatever it is: requests that are handed up are clean, bodies keep to their windows and lengths, and the output stays
// bounded.
namespace {

using namespace edgeproxy::http;

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t window = 64 * 1024;

struct Stream final : Http2Stream {
    Stream(std::int32_t id, Trailers& room) : Http2Stream(id, room) {}
};

struct Served {
    std::unique_ptr<Trailers> trailers = std::make_unique<Trailers>();
    std::unique_ptr<Request> request = std::make_unique<Request>();
    std::string memory = std::string(512, '\0'), larger;
    std::unique_ptr<Stream> stream;
    std::size_t body = 0, unused = 0;
    bool head = false, ended = false, answered = false;
};

void check(bool holds) {
    if (!holds) std::abort();
}

class Owner final : public Http2Events {
 public:
    Owner() : session(*this, options) {}
    Http2Options options;
    std::map<std::int32_t, Served> streams;
    Http2Session session;

    void act(unsigned how) {
        static constexpr char body[] = "an answer";
        for (auto& [id, served] : streams) {
            if (!served.head || served.stream->closed()) continue;
            if ((how & 1) != 0 && served.unused > 0) session.consume(*served.stream, std::exchange(served.unused, 0));
            if (served.answered || (how & 2) == 0) continue;
            served.answered = true;
            if ((how & 4) != 0) {
                session.reset(*served.stream, Http2Code::internal_error);
            } else {
                session.respond(*served.stream, 200, {}, {Body::Kind::length, sizeof body}, {body, sizeof body}, true);
            }
        }
    }

 private:
    Served& at(Http2Stream& stream) { return streams.at(stream.id()); }
    Http2Stream* opened(std::int32_t id) override {
        if (streams.size() >= 200) return nullptr;
        Served& served = streams[id];
        check(served.stream == nullptr);
        served.stream = std::make_unique<Stream>(id, *served.trailers);
        served.stream->head.begin(*served.request, served.memory, options.limits);
        return served.stream.get();
    }
    bool more_memory(Http2Stream& stream) override {
        Served& served = at(stream);
        if (!served.larger.empty()) return false;
        served.larger.assign(48 * 1024, '\0');
        stream.head.move_to(served.larger);
        served.memory = {};
        return true;
    }
    void head_done(Http2Stream& stream, errc error) override {
        Served& served = at(stream);
        check(!served.head);
        served.head = true;
        if (error != errc::ok) return;
        const Request& request = *served.request;
        for (const Field& field : request.fields) check(is_token(field.name) && is_field_value(field.value));
        check(request.fields.count(FieldId::cookie) <= 1 && request.fields.size() <= options.limits.fields + 2);
        check(!request.fields.has(FieldId::connection) && !request.fields.has(FieldId::transfer_encoding));
        check(all_chars(request.target, char_target) && all_chars(request.authority, char_target));
        check(!request.authority.empty() && !request.path.empty());
        check(request.method != Method::connect && request.method != Method::trace);
        if (request.websocket) stream.head.give_websocket_key("0123456789abcdef01234A==");
    }
    bool data(Http2Stream& stream, std::string_view bytes) override {
        Served& served = at(stream);
        served.body += bytes.size();
        served.unused += bytes.size();
        check(served.head && !served.ended && served.unused <= window);
        return true;
    }
    void input_ended(Http2Stream& stream) override {
        Served& served = at(stream);
        check(served.head && !served.ended);
        served.ended = true;
        if (stream.head.body().kind == Body::Kind::length && served.request->method_text.size() > 0 &&
            served.request->body.kind == Body::Kind::length)
            check(served.body == served.request->body.length);
        for (const Field& field : served.trailers->fields()) check(is_token(field.name) && is_field_value(field.value));
    }
    void output_taken(Http2Stream& stream) override { check(stream.output_taken()); }
    void closed(Http2Stream& stream) override { check(stream.closed()); }
    void malformed(errc error) override { check(error != errc::ok); }
    void wasted(Glitch glitch, std::uint32_t times) override { check(glitch < Glitch::count_ && times > 0); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const unsigned how = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    Owner owner;
    Http2Session::TimePoint now{};
    owner.session.feed(preface, now);
    std::string output(65536, '\0');
    const std::size_t cut = (how >> 3) == 0 ? rest.size() : how >> 3;
    for (unsigned turn = 0; !rest.empty() && owner.session.wants_input(); ++turn) {
        const std::string_view part = rest.substr(0, cut);
        rest.remove_prefix(part.size());
        owner.session.feed(part, now);
        owner.act(how + turn);
        while (check(owner.session.write(output) <= output.size()), owner.session.wants_room()) {
        }
    }
    for (auto& [id, served] : owner.streams) owner.session.forget(*served.stream);
    owner.session.write(output);
    return 0;
}
