// SPDX-License-Identifier: Apache-2.0
// The HTTP/1.1 side of the demo worker: one blocking connection, its requests and bodies, and the answer to one of
// them.
#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace demo {

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t block_size = 251 * 256;      // a multiple of the period of the pattern that /bytes sends
constexpr std::size_t head_limit = 256 * 1024;     // above it the connection is closed
constexpr std::chrono::seconds stop_patience{60};  // how long TERM waits for what runs

/// Thrown where the peer has gone or broke the protocol: ends the thread of that connection and nothing else.
struct Gone {};

/// What every connection is doing, so that TERM ends the idle ones at once and lets the others finish.
class Connections {
 public:
    enum class Does { idle, working, tunnel };

    void set(int fd, Does does) {
        const std::lock_guard lock(mutex_);
        doing_[fd] = does;
        if (stopping_ && does != Does::working) ::shutdown(fd, SHUT_RD);
    }
    void remove(int fd) {
        const std::lock_guard lock(mutex_);
        doing_.erase(fd);
        if (doing_.empty()) none_left_.notify_all();
    }
    bool stopping() {
        const std::lock_guard lock(mutex_);
        return stopping_;
    }
    /// Returns when none is left, at the latest after `stop_patience`.
    void finish() {
        std::unique_lock lock(mutex_);
        stopping_ = true;
        for (const auto& [fd, does] : doing_)
            if (does != Does::working) ::shutdown(fd, SHUT_RD);
        none_left_.wait_for(lock, stop_patience, [this] { return doing_.empty(); });
    }

 private:
    std::mutex mutex_;
    std::condition_variable none_left_;
    std::map<int, Does> doing_;
    bool stopping_ = false;
};

/// One accepted socket with its unread input. Owns the descriptor.
class Wire {
 public:
    explicit Wire(int fd) : fd_(fd) {}
    ~Wire() { ::close(fd_); }
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    int fd() const { return fd_; }

    /// Some bytes, at most `limit`; empty at the end of the stream. Valid until the next call.
    std::string_view some(std::size_t limit) {
        if (from_ == to_) fill();
        const auto size = std::min(limit, to_ - from_);
        from_ += size;
        return {buffer_.data() + from_ - size, size};
    }
    /// One line without its CRLF.
    std::string line() {
        std::string line;
        while (line.size() < head_limit) {
            const auto piece = some(1);
            if (piece.empty()) throw Gone{};
            if (piece[0] == '\n') {
                if (!line.empty() && line.back() == '\r') line.pop_back();
                return line;
            }
            line += piece[0];
        }
        throw Gone{};
    }
    void send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent <= 0) throw Gone{};
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

 private:
    void fill() {
        ssize_t got = -1;
        do got = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
        while (got < 0 && errno == EINTR);
        from_ = 0;
        to_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    }

    int fd_;
    std::size_t from_ = 0, to_ = 0;
    std::array<char, 64 * 1024> buffer_{};
};

inline bool same_word(std::string_view a, std::string_view b) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return low(x) == low(y); });
}

inline std::optional<std::uint64_t> number(std::string_view text, int base = 10) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

struct Request {
    std::string method, target, version;
    Fields fields;

    std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
    std::string_view field(std::string_view name) const {
        for (const auto& [key, value] : fields)
            if (same_word(key, name)) return value;
        return {};
    }
    /// The value of `name` in the query, not decoded.
    std::optional<std::string_view> asked(std::string_view name) const {
        auto query = std::string_view(target).substr(std::min(target.size(), path().size() + 1));
        while (!query.empty()) {
            const auto pair = query.substr(0, query.find('&'));
            query.remove_prefix(std::min(query.size(), pair.size() + 1));
            const auto key = pair.substr(0, pair.find('='));
            if (key == name) return pair.substr(std::min(pair.size(), key.size() + 1));
        }
        return {};
    }
    std::uint64_t count(std::string_view name, std::uint64_t otherwise) const {
        return number(asked(name).value_or("")).value_or(otherwise);
    }
};

inline Fields read_fields(Wire& wire) {
    Fields fields;
    for (auto line = wire.line(); !line.empty(); line = wire.line()) {
        const auto colon = line.find(':');
        if (colon == std::string::npos || fields.size() > 1000) throw Gone{};
        const auto start = line.find_first_not_of(" \t", colon + 1);
        const auto last = line.find_last_not_of(" \t");
        fields.emplace_back(line.substr(0, colon),
                            start == std::string::npos ? "" : line.substr(start, last + 1 - start));
    }
    return fields;
}

inline Request read_request(Wire& wire) {
    const auto line = wire.line();
    const auto first = line.find(' '), second = line.rfind(' ');
    if (first == std::string::npos || first == second) throw Gone{};
    Request request{line.substr(0, first), line.substr(first + 1, second - first - 1), line.substr(second + 1), {}};
    request.fields = read_fields(wire);
    return request;
}

/// The body of one request, piece by piece, whatever its framing.
class Body {
 public:
    Body(Wire& wire, const Request& request)
        : wire_(wire),
          chunked_(same_word(request.field("transfer-encoding"), "chunked")),
          left_(chunked_ ? 0 : number(request.field("content-length")).value_or(0)),
          done_(!chunked_ && left_ == 0),
          continue_due_(same_word(request.field("expect"), "100-continue")) {}

    /// Empty at the end, where `trailers` are known.
    std::string_view next() {
        if (std::exchange(continue_due_, false)) wire_.send("HTTP/1.1 100 Continue\r\n\r\n");
        if (!done_ && left_ == 0) next_chunk();
        if (done_) return {};
        const auto piece = wire_.some(static_cast<std::size_t>(std::min<std::uint64_t>(left_, block_size)));
        if (piece.empty()) throw Gone{};
        left_ -= piece.size();
        // The line end behind a chunk is read with the next one: reading moves the bytes that `piece` looks at.
        if (left_ == 0) (chunked_ ? line_end_due_ : done_) = true;
        return piece;
    }
    bool chunked() const { return chunked_; }
    bool done() const { return done_; }
    /// A body that the client still holds back and that nobody asked for (RFC 9110, section 10.1.1).
    bool unasked() const { return continue_due_ && !done_; }

    Fields trailers;

 private:
    void next_chunk() {
        if (std::exchange(line_end_due_, false)) wire_.line();
        const auto line = wire_.line();
        const auto size = number(std::string_view(line).substr(0, line.find(';')), 16);
        if (!size) throw Gone{};
        left_ = *size;
        if (left_ != 0) return;
        trailers = read_fields(wire_);
        done_ = true;
    }

    Wire& wire_;
    bool chunked_;
    bool line_end_due_ = false;
    std::uint64_t left_;
    bool done_;
    bool continue_due_;
};

/// One request with what its handler needs to answer it.
struct Exchange {
    Wire& wire;
    const Request& request;
    Body& body;
    Connections& connections;
    bool keep;  ///< the connection lives on afterwards

    void head(int status, std::string_view fields) const {
        const auto phrase = status == 200 ? "OK" : status == 101 ? "Switching Protocols" : "Status";
        wire.send("HTTP/1.1 " + std::to_string(status) + ' ' + phrase + "\r\n" + std::string(fields) +
                  (keep || status < 200 ? "\r\n" : "Connection: close\r\n\r\n"));
    }
    void answer(int status, std::string_view type, std::string_view content) const {
        std::string text = "HTTP/1.1 " + std::to_string(status) + (status == 200 ? " OK\r\n" : " Status\r\n");
        const bool bodiless = status == 204 || status == 304;
        if (!bodiless)
            text.append("Content-Type: ")
                .append(type)
                .append("\r\nContent-Length: ")
                .append(std::to_string(content.size()) + "\r\n");
        text += keep ? "\r\n" : "Connection: close\r\n\r\n";
        if (!bodiless && request.method != "HEAD") text += content;
        wire.send(text);
    }
    void chunk(std::string_view bytes) const {
        std::array<char, 20> size{};
        const auto length = std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
        std::string text(size.data(), static_cast<std::size_t>(length));
        wire.send(text.append(bytes).append("\r\n"));
    }
};

std::string json_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        std::array<char, 8> escaped{};
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            out += c;
        } else {
            std::snprintf(escaped.data(), escaped.size(), "\\u%04x", byte);
            out += escaped.data();
        }
    }
    return out + '"';
}

std::string json_fields(const Fields& fields) {
    std::string out = "[";
    for (const auto& [name, value] : fields)
        out += (out.size() > 1 ? ", [" : "[") + json_text(name) + ", " + json_text(value) + "]";
    return out + "]";
}

std::string_view pattern() {
    static const std::string block = [] {
        std::string bytes(block_size, '\0');
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i % 251);
        return bytes;
    }();
    return block;
}

void pause_ms(std::uint64_t milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

}  // namespace demo
