// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/body_reader.hpp"
#include "proxy/http/http1_reader.hpp"
#include "proxy/http/http1_writer.hpp"
#include "proxy/http/message.hpp"

/// What the tests of this folder share: bytes in, one line of text out that says everything that was understood.
namespace edgeproxy::http::test {

using namespace std::string_literals;
using namespace std::string_view_literals;

inline std::string describe(const Body& body) {
    switch (body.kind) {
        case Body::Kind::none:
            return "no body";
        case Body::Kind::length:
            return "length " + std::to_string(body.length);
        case Body::Kind::chunked:
            return "chunked";
        case Body::Kind::until_close:
            return "until close";
    }
    return "?";
}

inline std::string describe(std::span<const Field> fields) {
    std::string out;
    for (const Field& field : fields) {
        out += " [" + std::string(field.name) + "=" + std::string(field.value) + "]";
    }
    return out;
}

inline std::string describe(const Request& r) {
    std::string out = std::string(r.method_text) + " " + std::string(r.target) + " path=" + std::string(r.path);
    if (r.has_query) out += " query=" + std::string(r.query);
    if (r.absolute_form) out += " absolute " + std::string(r.scheme);
    out += r.version == Version::http11 ? " 1.1" : " 1.0";
    out += " host=" + std::string(r.host);
    if (r.port) out += " port=" + std::to_string(*r.port);
    out += ", " + describe(r.body);
    if (r.keep_alive) out += ", keep";
    if (r.expect_continue) out += ", expects";
    if (r.te_trailers) out += ", trailers";
    if (r.websocket) out += ", websocket " + std::string(r.websocket_key);
    if (r.upgrade_other) out += ", upgrade";
    for (std::string_view name : r.connection.names()) out += ", minus " + std::string(name);
    return out + describe(std::span<const Field>(r.fields));
}

inline std::string describe(const Response& r) {
    std::string out = std::to_string(r.status) + " (" + std::string(r.reason) + ")";
    out += r.version == Version::http11 ? " 1.1" : " 1.0";
    out += ", " + describe(r.body);
    if (r.keep_alive) out += ", keep";
    if (r.switching) out += ", switching";
    if (r.interim()) out += ", interim";
    return out + describe(std::span<const Field>(r.fields));
}

/// Where a text is cut: sizes of what has arrived before each call.
using Cuts = std::vector<std::size_t>;

inline Cuts single_bytes(std::size_t size) {
    Cuts cuts;
    for (std::size_t i = 1; i <= size; ++i) cuts.push_back(i);
    return cuts;
}

/// A cut pattern that a number stands for: pieces of 1 to 16 bytes, 0 for single bytes.
inline Cuts cuts(std::size_t size, unsigned seed) {
    Cuts out;
    for (std::size_t at = 0; at < size;) {
        seed = seed * 1103515245U + (seed != 0 ? 12345U : 0U);
        at = std::min(size, at + 1 + (seed >> 16) % 16);
        out.push_back(at);
    }
    return out;
}

/// Lets `read` see more and more of `bytes`, each time at another place in memory with nothing behind it. Returns its
/// last answer: "... " for a head not complete, the word of the error, or what was understood and "| " with the bytes
/// behind it.
template <class Message, class Read>
std::string read_in(std::string_view bytes, const Cuts& cuts, Read read) {
    auto message = std::make_unique<Message>();
    std::vector<std::unique_ptr<char[]>> places(2);
    std::string verdict = "...";
    for (std::size_t i = 0; i < cuts.size(); ++i) {
        auto& place = places[i % 2];
        place.reset(new char[cuts[i] + 1]);
        bytes.copy(place.get(), cuts[i]);
        const ReadResult result = read(std::string_view(place.get(), cuts[i]), *message);
        places[(i + 1) % 2].reset();
        if (result.status == ReadResult::Status::failed) return std::string(word(result.error));
        if (result.status == ReadResult::Status::complete) {
            return describe(*message) + " | " +
                   std::string(bytes.substr(result.head_size, cuts.back() - result.head_size));
        }
    }
    return verdict;
}

inline std::string request(std::string_view bytes, const Cuts& cuts, const Limits& limits = {}) {
    RequestReader reader(limits);
    return read_in<Request>(bytes, cuts, [&](std::string_view in, Request& out) { return reader.read(in, out); });
}

inline std::string response(std::string_view bytes, const Cuts& cuts, Method method = Method::get,
                            const Limits& limits = response_limits) {
    ResponseReader reader(limits);
    return read_in<Response>(bytes, cuts,
                             [&](std::string_view in, Response& out) { return reader.read(in, method, out); });
}

/// The verdict on `bytes` when they come at once; a text that names the cut if another cut gives another verdict.
template <class Read>
std::string at_every_cut(std::string_view bytes, Read read) {
    const std::string whole = read(bytes, Cuts{bytes.size()});
    const std::string trickled = read(bytes, single_bytes(bytes.size()));
    if (trickled != whole) return "at once: " + whole + ", byte by byte: " + trickled;
    for (std::size_t at = 1; at < bytes.size(); ++at) {
        const std::string cut = read(bytes, Cuts{at, bytes.size()});
        if (cut != whole) return "at once: " + whole + ", cut at " + std::to_string(at) + ": " + cut;
    }
    return whole;
}

inline std::string request(std::string_view bytes) {
    return at_every_cut(bytes, [](std::string_view in, const Cuts& cuts) { return request(in, cuts); });
}

inline std::string response(std::string_view bytes, Method method = Method::get) {
    return at_every_cut(bytes, [method](std::string_view in, const Cuts& cuts) { return response(in, cuts, method); });
}

}  // namespace edgeproxy::http::test
