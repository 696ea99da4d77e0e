// SPDX-License-Identifier: Apache-2.0
// edgeproxy-verdicts request|response: what the readers make of messages, for comparison with other parsers
// (tests/support/parsers.py).
//
//   stdin   cases, each as <u32 little endian: size> <bytes>
//   stdout  one verdict for each: <u32: number of texts>, then texts as <u32: size> <bytes>
//             1 text:  the word of the error, or "incomplete"
//             8 texts of a request:   method, target, host, version, body, size of the message, what an endpoint gets,
//                                     "upgrade" or ""
//             4 texts of an answer (to GET):  status, body, size of the message, "close" or ""
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/http/body_reader.hpp"
#include "proxy/http/http1_reader.hpp"
#include "proxy/rewrite.hpp"

namespace {

using namespace edgeproxy;

void put(std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    std::fwrite(&size, sizeof size, 1, stdout);
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void say(std::initializer_list<std::string_view> texts) {
    const auto count = static_cast<std::uint32_t>(texts.size());
    std::fwrite(&count, sizeof count, 1, stdout);
    for (const std::string_view text : texts) put(text);
}

struct Taken {
    http::errc error = http::errc::ok;
    bool done = false;
    std::string data;
    std::size_t size = 0;  ///< of the body with its framing
    http::Trailers trailers;
};

void take_body(const http::Body& body, std::string_view rest, Taken& out) {
    http::BodyReader reader(body, &out.trailers);
    while (!reader.done() && out.size < rest.size()) {
        const http::BodyStep step = reader.next(rest.substr(out.size));
        out.error = step.error;
        if (out.error != http::errc::ok) return;
        out.data += step.data;
        out.size += step.consumed;
    }
    out.done = reader.complete_at_eof() || body.kind == http::Body::Kind::none;
}

/// As `Forwarding::send_request` writes it when all of the body is there.
std::string forwarded(const http::Request& request, Taken& body) {
    proxy::RewriteRules rules;
    rules.request_id = "X-Request-ID";
    rules.via = "1.1 edgeproxy";
    proxy::Arrival arrival;
    arrival.peer.is_ip = true;
    arrival.peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
    arrival.local_port = "80";
    proxy::Identity identity;
    proxy::identify(request, arrival, {}, rules.request_id, identity);
    proxy::UpstreamBody framing{request.body, false};
    const bool chunked = request.body.kind == http::Body::Kind::chunked && !body.trailers.fields().empty();
    if (request.body.kind == http::Body::Kind::chunked && !chunked)
        framing.body = {http::Body::Kind::length, body.data.size()};
    std::string space(128 * 1024, '\0'), scratch(64 * 1024, '\0');
    http::HeadWriter out{space};
    proxy::write_request_head(out, request, rules, identity, "id", "endpoint.test", framing, scratch);
    if (!chunked) {
        out.put(body.data);
    } else {
        if (!body.data.empty()) {
            out.chunk_line(body.data.size());
            out.put(body.data);
            out.put("\r\n");
        }
        out.last_chunk(body.trailers.fields());
    }
    return std::string(out.text());
}

void judge_request(std::string_view bytes, http::Request& request) {
    http::RequestReader reader;
    const http::ReadResult read = reader.read(bytes, request);
    if (read.status == http::ReadResult::Status::failed) return say({http::word(read.error)});
    if (read.status != http::ReadResult::Status::complete) return say({"incomplete"});
    auto body = std::make_unique<Taken>();
    take_body(request.body, bytes.substr(read.head_size), *body);
    if (body->error != http::errc::ok) return say({http::word(body->error)});
    if (!body->done) return say({"incomplete"});
    say({request.method_text, request.target, request.authority,
         request.version == http::Version::http11 ? "1.1" : "1.0", body->data,
         std::to_string(read.head_size + body->size), forwarded(request, *body), request.websocket ? "upgrade" : ""});
}

void judge_answer(std::string_view bytes, http::Response& answer) {
    http::ResponseReader reader;
    std::size_t head = 0;
    do {
        const http::ReadResult read = reader.read(bytes.substr(head), http::Method::get, answer);
        if (read.status == http::ReadResult::Status::failed) return say({http::word(read.error)});
        if (read.status != http::ReadResult::Status::complete) return say({"incomplete"});
        head += read.head_size;
    } while (answer.interim());
    if (answer.switching) return say({"switching"});
    auto body = std::make_unique<Taken>();
    take_body(answer.body, bytes.substr(head), *body);
    if (body->error != http::errc::ok) return say({http::word(body->error)});
    if (!body->done) return say({"incomplete"});
    const bool close = answer.body.kind == http::Body::Kind::until_close;
    say({std::to_string(answer.status), body->data, std::to_string(head + body->size), close ? "close" : ""});
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc == 2 ? argv[1] : "";
    if (what != "request" && what != "response") return 2;
    auto request = std::make_unique<http::Request>();
    auto answer = std::make_unique<http::Response>();
    std::uint32_t size = 0;
    while (std::fread(&size, sizeof size, 1, stdin) == 1) {
        // Of exactly that size, so that a sanitizer sees a look behind its end.
        const auto space = std::make_unique<char[]>(size);
        if (std::fread(space.get(), 1, size, stdin) != size) return 1;
        const std::string_view bytes(space.get(), size);
        if (what == "request") {
            judge_request(bytes, *request);
        } else {
            judge_answer(bytes, *answer);
        }
    }
    return 0;
}
