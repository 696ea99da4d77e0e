// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nghttp2/nghttp2.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/http2_session.hpp"
#include "tests/proxy/http/wire.hpp"

/// Both ends of an HTTP/2 connection in memory: a client, and an owner of a session that notes what it is told.
namespace edgeproxy::http::test {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A stream of the server under test.
struct ServedStream final : Http2Stream {
    ServedStream(std::int32_t id, Trailers& room) : Http2Stream(id, room) {}
};

/// What a session's owner knows of one stream.
struct Served {
    std::unique_ptr<Trailers> trailers = std::make_unique<Trailers>();
    std::unique_ptr<Request> request = std::make_unique<Request>();
    std::vector<std::string> memories;
    std::unique_ptr<ServedStream> stream;
    errc error = errc::ok;
    bool head = false, ended = false, closed = false;
    std::string body;
    unsigned taken = 0;
};

/// The owner of the session under test.
class Owner final : Http2Events {
 public:
    explicit Owner(Http2Options given = {}) : options(given), session(*this, options) {}

    Http2Options options;
    std::map<std::int32_t, Served> streams;
    std::vector<errc> bad;
    std::map<Glitch, unsigned> waste;
    std::size_t first_memory = 4096, next_memory = 65536;
    std::size_t window = 64 * 1024;
    bool refuses = false;
    Http2Session session;

    Served& at(std::int32_t id) { return streams.at(id); }
    void respond(std::int32_t id, unsigned status, const std::vector<Field>& fields = {}, Body body = {},
                 std::string_view data = {}, bool end = true) {
        session.respond(*at(id).stream, status, fields, body, data, end);
    }
    /// Everything that it wants to say, through an output of `size` bytes at a time.
    std::string output(std::size_t size = 65536) {
        std::string all;
        std::string space(size, '\0');
        for (;;) {
            const std::size_t written = session.write(space);
            all.append(space, 0, written);
            if (!session.wants_room()) return all;
        }
    }

 private:
    Http2Stream* opened(std::int32_t id) override {
        if (refuses) return nullptr;
        Served& served = streams[id];
        served.memories.emplace_back(first_memory, '\0');
        served.stream = std::make_unique<ServedStream>(id, *served.trailers);
        served.stream->head.begin(*served.request, served.memories.back(), options.limits);
        return served.stream.get();
    }
    bool more_memory(Http2Stream& stream) override {
        Served& served = at(stream.id());
        if (served.memories.size() > 1) return false;
        std::string larger(next_memory, '\0');
        stream.head.move_to(larger);
        // What lay in the old memory must not be looked at any more.
        served.memories.back().assign(first_memory, '!');
        served.memories.push_back(std::move(larger));
        return true;
    }
    void head_done(Http2Stream& stream, errc error) override {
        at(stream.id()).head = true;
        at(stream.id()).error = error;
    }
    bool data(Http2Stream& stream, std::string_view bytes) override {
        std::string& body = at(stream.id()).body;
        if (body.size() + bytes.size() > window) return false;
        body += bytes;
        return true;
    }
    void input_ended(Http2Stream& stream) override { at(stream.id()).ended = true; }
    void output_taken(Http2Stream& stream) override { ++at(stream.id()).taken; }
    void closed(Http2Stream& stream) override { at(stream.id()).closed = true; }
    void malformed(errc error) override { bad.push_back(error); }
    void wasted(Glitch glitch, std::uint32_t times) override { waste[glitch] += times; }
};

/// What a client got on one stream.
struct Got {
    Pairs head, trailers;
    std::vector<Pairs> interim;
    std::string body;
    bool ended = false;
    int reset = -1;  ///< the code of RST_STREAM
};

/// A client of nghttp2 that sends what it is told, checked or not.
class Client {
 public:
    Client() {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_option* option = nullptr;
        nghttp2_option_new(&option);
        nghttp2_option_set_no_http_messaging(option, 1);
        nghttp2_option_set_peer_max_concurrent_streams(option, 100000);
        nghttp2_session_client_new2(&session_, callbacks, this, option);
        nghttp2_option_del(option);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    }
    ~Client() { nghttp2_session_del(session_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    std::map<std::int32_t, Got> streams;
    std::vector<std::pair<std::int32_t, std::uint32_t>> goaways;  ///< last stream, code
    std::map<int, std::uint32_t> settings;

    nghttp2_session* raw() { return session_; }

    /// A request; `body` null: none, and the stream is ended.
    std::int32_t request(const Pairs& fields, const char* body = nullptr, const Pairs& trailers = {}) {
        const auto list = pairs(kept_.emplace_back(fields));
        if (body == nullptr)
            return nghttp2_submit_request(session_, nullptr, list.data(), list.size(), nullptr, nullptr);
        auto source = std::make_unique<Source>();
        source->left = body;
        source->trailers = trailers;
        nghttp2_data_provider provider{};
        provider.source.ptr = source.get();
        provider.read_callback = read;
        sources_.push_back(std::move(source));
        return nghttp2_submit_request(session_, nullptr, list.data(), list.size(), &provider, nullptr);
    }
    std::string output() {
        std::string all;
        const std::uint8_t* data = nullptr;
        for (ssize_t size; (size = nghttp2_session_mem_send(session_, &data)) > 0;)
            all.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
        return all;
    }
    void feed(std::string_view bytes) {
        const auto used =
            nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
        CHECK(used == static_cast<ssize_t>(bytes.size()));
    }

 private:
    struct Source {
        std::string left;
        Pairs trailers;
    };
    static std::vector<nghttp2_nv> pairs(const Pairs& fields) {
        std::vector<nghttp2_nv> list;
        for (const auto& [name, value] : fields) {
            list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                            reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                            NGHTTP2_NV_FLAG_NO_COPY_NAME});  // or it would be put in lower case
        }
        return list;
    }
    static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* out, std::size_t size,
                        std::uint32_t* flags, nghttp2_data_source* from, void*) {
        auto& source = *static_cast<Source*>(from->ptr);
        const std::size_t part = std::min(size, source.left.size());
        std::memcpy(out, source.left.data(), part);
        source.left.erase(0, part);
        if (source.left.empty()) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (!source.trailers.empty()) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                const auto list = pairs(source.trailers);
                nghttp2_submit_trailer(session, id, list.data(), list.size());
            }
        }
        return static_cast<ssize_t>(part);
    }
    static std::string string(const std::uint8_t* data, std::size_t size) {
        return {reinterpret_cast<const char*>(data), size};
    }
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                         const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
        auto& self = *static_cast<Client*>(user);
        Got& got = self.streams[frame->hd.stream_id];
        self.block_.emplace_back(string(name, name_size), string(value, value_size));
        static_cast<void>(got);
        return 0;
    }
    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        auto& self = *static_cast<Client*>(user);
        Got& got = self.streams[frame->hd.stream_id];
        const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        switch (frame->hd.type) {
            case NGHTTP2_HEADERS: {
                const bool interim =
                    !self.block_.empty() && self.block_[0].first == ":status" && self.block_[0].second.starts_with('1');
                if (interim) {
                    got.interim.push_back(self.block_);
                } else if (got.head.empty()) {
                    got.head = self.block_;
                } else {
                    got.trailers = self.block_;
                }
                self.block_.clear();
                got.ended = got.ended || ends;
                break;
            }
            case NGHTTP2_DATA:
                got.ended = got.ended || ends;
                break;
            case NGHTTP2_RST_STREAM:
                got.reset = static_cast<int>(frame->rst_stream.error_code);
                break;
            case NGHTTP2_GOAWAY:
                self.goaways.emplace_back(frame->goaway.last_stream_id, frame->goaway.error_code);
                break;
            case NGHTTP2_SETTINGS:
                for (std::size_t i = 0; i < frame->settings.niv; ++i)
                    self.settings[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
                break;
            default:
                break;
        }
        return 0;
    }
    static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
                       void* user) {
        static_cast<Client*>(user)->streams[id].body += string(data, size);
        return 0;
    }

    nghttp2_session* session_ = nullptr;
    std::vector<std::unique_ptr<Source>> sources_;
    std::deque<Pairs> kept_;  // names must live until they are sent
    Pairs block_;
};

/// A client and a server, and time that stands still unless it is moved.
struct Link {
    explicit Link(Http2Options options = {}) : owner(options) { exchange(); }

    Owner owner;
    Client client;
    Http2Session::TimePoint now{std::chrono::hours(1)};

    /// Until neither has anything to say.
    void exchange(std::size_t output_size = 65536) {
        for (int turns = 0; turns < 1000; ++turns) {
            const std::string up = client.output();
            owner.session.feed(up, now);
            const std::string down = owner.output(output_size);
            if (up.empty() && down.empty()) return;
            client.feed(down);
        }
        FAIL("they never stop talking");
    }
    std::int32_t get(const Pairs& fields) {
        const std::int32_t id = client.request(fields);
        exchange();
        return id;
    }
};

inline Pairs head(const std::string& path = "/", const Pairs& more = {}, const std::string& method = "GET") {
    Pairs fields{{":method", method}, {":scheme", "https"}, {":authority", "a.example"}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
}

/// A frame by hand (RFC 9113, section 4.1).
inline std::string frame(unsigned type, unsigned flags, std::uint32_t id, std::string_view payload) {
    const auto byte = [](std::size_t value) { return static_cast<char>(value & 0xff); };
    std::string out{byte(payload.size() >> 16), byte(payload.size() >> 8), byte(payload.size())};
    out += {byte(type), byte(flags), byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)};
    return out.append(payload);
}

}  // namespace edgeproxy::http::test
