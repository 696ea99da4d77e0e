// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/http/http2_client_session.hpp"
#include "proxy/http/text.hpp"

// The first byte chooses the cuts and what the client does; the rest is what a server sends. Whatever it is: heads that
// are handed up are clean, bodies keep to their windows and lengths, and the output stays bounded.
namespace {

using namespace edgeproxy::http;

void check(bool holds) {
    if (!holds) std::abort();
}

struct Asked final : Http2ClientStream {
    explicit Asked(Trailers& room) : Http2ClientStream(room) { answer.begin(memory); }
    std::vector<char> memory = std::vector<char>(1024), larger;
    std::size_t body = 0, unused = 0;
    bool final_read = false, closed_seen = false;
    Response response;

    void read_heads() {
        while (answer.waiting() > 0) {
            if (answer.read(Method::get, response) != errc::ok) return;
            check(response.status >= 100 && response.status < 1000 && response.status != 101 && !final_read);
            final_read = response.status >= 200;
            for (const Field& field : response.fields) check(is_token(field.name) && is_field_value(field.value));
            check(!response.fields.has(FieldId::connection) && !response.fields.has(FieldId::transfer_encoding));
        }
    }
};

class Owner final : public Http2ClientEvents {
 public:
    Owner() : session(*this) {
        for (Trailers& one : trailers) {
            one.clear();
            asked.push_back(std::make_unique<Asked>(one));
            session.request(*asked.back(), "POST / HTTP/1.1\r\nHost: a\r\n\r\n", "http", "some body", false, {});
        }
    }
    Trailers trailers[3];
    std::vector<std::unique_ptr<Asked>> asked;
    Http2ClientSession session;

    void act(unsigned how) {
        for (const auto& one : asked) {
            if ((how & 1) != 0) session.consume(*one, std::exchange(one->unused, 0));
            if ((how & 2) != 0) one->read_heads();
            if ((how & 4) != 0 && one->output_taken() && !one->output_ended()) session.send(*one, "more", true, {});
            if ((how & 8) != 0) session.reset(*one, Http2Code::cancel);
        }
        if ((how & 16) != 0) session.ping();
    }

 private:
    static Asked& of(Http2ClientStream& stream) { return static_cast<Asked&>(stream); }
    bool more_memory(Http2ClientStream& stream) override {
        Asked& one = of(stream);
        if (!one.larger.empty()) return false;
        one.larger.resize(128 * 1024);
        one.answer.move_to(one.larger);
        return true;
    }
    void head_done(Http2ClientStream& stream) override {
        check(stream.answer.waiting() <= Http2Answer::most_interim + 1);
    }
    bool data(Http2ClientStream& stream, std::string_view bytes) override {
        Asked& one = of(stream);
        one.unused += bytes.size();
        check(one.answer.final_seen() && one.unused <= Http2ClientSession::stream_window);
        return true;
    }
    void input_ended(Http2ClientStream& stream) override { check(stream.answer.final_seen() && stream.input_ended()); }
    void output_taken(Http2ClientStream& stream) override { check(stream.output_taken()); }
    void closed(Http2ClientStream& stream) override { check(!std::exchange(of(stream).closed_seen, true)); }
    void pong() override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const unsigned how = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    Owner owner;
    Http2ClientSession::TimePoint now{};
    std::string output(65536, '\0');
    owner.session.write(output);
    const std::size_t cut = (how >> 3) == 0 ? rest.size() : how >> 3;
    for (unsigned turn = 0; !rest.empty() && owner.session.wants_input(); ++turn) {
        const std::string_view part = rest.substr(0, cut);
        rest.remove_prefix(part.size());
        owner.session.feed(part, now);
        owner.act(how + turn);
        while (check(owner.session.write(output) <= output.size()), owner.session.wants_room()) {
        }
    }
    for (const auto& one : owner.asked) owner.session.forget(*one);
    owner.session.write(output);
    return 0;
}
