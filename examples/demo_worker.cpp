// SPDX-License-Identifier: Apache-2.0
// edgeproxy-demo-worker: a small HTTP/1.1 and WebSocket server to put behind edgeproxy when no Python is at hand, and
// the fault machine of the tests: it crashes, hangs, leaks and dies in the middle of an answer when it is asked to.
//
// Where it listens    --fd N (an inherited listener) | --uds PATH | --port N | environment PORT (on 127.0.0.1)
// Environment         DEMO_START_DELAY_MS   waits before it accepts
//                     DEMO_FAIL_START       exits with 3 at start; a value with a slash: only while that file exists
//                     DEMO_IGNORE_TERM      goes on after TERM
// One blocking thread a connection; memory does not grow with the size of a body. TERM: finishes what runs, then exits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

#include "examples/demo_http.hpp"

namespace {
using namespace demo;

void hello(Exchange& x) {
    x.answer(200, "text/plain", "edgeproxy demo worker, pid " + std::to_string(::getpid()) + "\n");
}

void pid(Exchange& x) {
    x.answer(200, "text/plain", std::to_string(::getpid()) + "\n");
}

/// The body back, while it still arrives; framed as it came.
void echo(Exchange& x) {
    const auto type = x.request.field("content-type");
    const auto fields = "Content-Type: " + std::string(type.empty() ? "application/octet-stream" : type) + "\r\n";
    auto piece = x.body.next();
    if (!x.body.chunked()) {
        const auto length = x.request.field("content-length");
        x.head(200, fields + "Content-Length: " + std::string(length.empty() ? "0" : length) + "\r\n");
        for (; !piece.empty(); piece = x.body.next()) x.wire.send(piece);
        return;
    }
    x.head(200, fields + "Transfer-Encoding: chunked\r\n");
    for (; !piece.empty(); piece = x.body.next()) x.chunk(piece);
    x.wire.send("0\r\n\r\n");
}

/// Counts the body and its CRC-32 without keeping it; ?ms= waits between two reads.
void upload(Exchange& x) {
    std::uint64_t bytes = 0;
    auto crc = ::crc32(0, nullptr, 0);
    for (auto piece = x.body.next(); !piece.empty(); piece = x.body.next()) {
        bytes += piece.size();
        crc = ::crc32(crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
        if (const auto wait = x.request.count("ms", 0)) pause_ms(wait);
    }
    x.answer(200, "application/json",
             "{\"bytes\": " + std::to_string(bytes) + ", \"crc32\": " + std::to_string(crc) +
                 ", \"trailers\": " + json_fields(x.body.trailers) + "}");
}

/// ?n= bytes, byte i is i % 251; ?chunked=1, ?ms= between two blocks.
void bytes(Exchange& x) {
    auto left = x.request.count("n", 1024);
    const bool chunked = x.request.asked("chunked").has_value();
    x.head(200, "Content-Type: application/octet-stream\r\n" +
                    (chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: " + std::to_string(left) + "\r\n"));
    if (x.request.method == "HEAD") return;
    while (left != 0) {
        const auto piece = pattern().substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left, block_size)));
        chunked ? x.chunk(piece) : x.wire.send(piece);
        left -= piece.size();
        if (const auto wait = x.request.count("ms", 0)) pause_ms(wait);
    }
    if (chunked) x.wire.send("0\r\n\r\n");
}

/// Server-sent events: ?n= of them, ?ms= between two.
void stream(Exchange& x) {
    x.head(200, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n");
    for (std::uint64_t i = 0; i < x.request.count("n", 10); ++i) {
        if (i != 0) pause_ms(x.request.count("ms", 100));
        x.chunk("data: " + std::to_string(i) + "\n\n");
    }
    x.wire.send("0\r\n\r\n");
}

void slow(Exchange& x) {
    pause_ms(x.request.count("ms", 1000));
    hello(x);
}

/// The request as it came here, fields in their order.
void headers(Exchange& x) {
    x.answer(200, "application/json",
             "{\"method\": " + json_text(x.request.method) + ", \"target\": " + json_text(x.request.target) +
                 ", \"version\": " + json_text(x.request.version) + ", \"pid\": " + std::to_string(::getpid()) +
                 ", \"headers\": " + json_fields(x.request.fields) + "}");
}

void status(Exchange& x) {
    const auto code = number(x.request.path().substr(std::strlen("/status/"))).value_or(0);
    if (code < 200 || code > 599) return x.answer(400, "text/plain", "a code from 200 to 599\n");
    x.answer(static_cast<int>(code), "text/plain", "status " + std::to_string(code) + "\n");
}

/// Answers before it reads the body.
void early(Exchange& x) {
    x.keep = x.body.done();
    x.answer(413, "text/plain", "too much, not read\n");
}

void interim(Exchange& x) {
    x.wire.send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n");
    x.answer(200, "text/plain", "after the hint\n");
}

void trailers(Exchange& x) {
    x.head(200, "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n");
    x.chunk("with a trailer\n");
    x.wire.send("0\r\nX-Checksum: 42\r\n\r\n");
}

void crash(Exchange& x) {
    std::fputs("demo: crashing as asked\n", stderr);
    if (const auto code = x.request.asked("exit")) std::_Exit(static_cast<int>(number(*code).value_or(1)));
    ::kill(::getpid(), static_cast<int>(x.request.count("signal", SIGKILL)));
    ::pause();
}

/// No answer until the peer goes; ?all=1 stops the whole process as a frozen event loop would.
void hang(Exchange& x) {
    if (x.request.asked("all")) ::raise(SIGSTOP);
    pollfd gone{x.wire.fd(), POLLRDHUP, 0};
    ::poll(&gone, 1, -1);
    throw Gone{};
}

/// Half of an answer, then the end: of the process, or with ?cut=1 of the connection only.
void half(Exchange& x) {
    const bool chunked = x.request.asked("chunked").has_value();
    x.head(200, chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 100000\r\n");
    chunked ? x.chunk(pattern().substr(0, 50000)) : x.wire.send(pattern().substr(0, 50000));
    pause_ms(x.request.count("ms", 50));
    if (x.request.asked("cut")) throw Gone{};
    std::_Exit(1);
}

void leak(Exchange& x) {
    const auto size = static_cast<std::size_t>(x.request.count("mb", 1)) << 20;
    void* lost = std::malloc(size);
    if (lost != nullptr) std::memset(lost, 1, size);
    x.answer(200, "text/plain", lost != nullptr ? "leaked\n" : "no memory\n");
}

std::string accept_key(std::string_view key) {
    const auto text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, section 1.3
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
    std::array<char, 64> encoded{};
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), digest.data(), static_cast<int>(size));
    return encoded.data();
}

std::string exactly(Wire& wire, std::uint64_t size) {
    std::string bytes;
    while (bytes.size() < size) {
        const auto piece = wire.some(static_cast<std::size_t>(size - bytes.size()));
        if (piece.empty()) throw Gone{};
        bytes += piece;
    }
    return bytes;
}

std::uint64_t big_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
}

struct Frame {
    unsigned char first = 0;  ///< FIN, reserved bits, opcode (RFC 6455, section 5.2)
    std::string payload;
    int opcode() const { return first & 0x0f; }
};

Frame read_frame(Wire& wire) {
    const auto start = exactly(wire, 2);
    std::uint64_t size = static_cast<unsigned char>(start[1]) & 0x7fu;
    if (size == 126)
        size = big_endian(exactly(wire, 2));
    else if (size == 127)
        size = big_endian(exactly(wire, 8));
    if ((start[1] & 0x80) == 0 || size > 64u << 20) throw Gone{};
    const auto mask = exactly(wire, 4);
    Frame frame{static_cast<unsigned char>(start[0]), exactly(wire, size)};
    for (std::size_t i = 0; i < frame.payload.size(); ++i)
        frame.payload[i] = static_cast<char>(frame.payload[i] ^ mask[i % 4]);
    return frame;
}

void send_frame(const Wire& wire, unsigned char first, std::string_view payload) {
    std::string out(1, static_cast<char>(first));
    const int extra = payload.size() < 126 ? 0 : payload.size() < 65536 ? 2 : 8;
    out += static_cast<char>(extra == 0 ? payload.size() : extra == 2 ? 126u : 127u);
    for (int i = extra - 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
    wire.send(out.append(payload));
}

/// Every frame back; pings answered, a close returned; 1001 when this process is asked to stop.
void websocket(Exchange& x) {
    if (!same_word(x.request.field("upgrade"), "websocket") || x.request.field("sec-websocket-key").empty())
        return x.answer(426, "text/plain", "this is a WebSocket\n");
    x.head(101, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                    accept_key(x.request.field("sec-websocket-key")) + "\r\n");
    x.connections.set(x.wire.fd(), Connections::Does::tunnel);
    x.keep = false;
    try {
        for (;;) {
            const auto frame = read_frame(x.wire);
            if (frame.opcode() == 0xa) continue;
            send_frame(x.wire, frame.opcode() == 0x9 ? 0x8a : frame.first, frame.payload);
            if (frame.opcode() == 0x8) return;
        }
    } catch (const Gone&) {
        if (x.connections.stopping()) send_frame(x.wire, 0x88, std::string_view("\x03\xe9", 2));
        throw;
    }
}

using Handler = void (*)(Exchange&);
Handler handler_of(std::string_view path) {
    static const std::map<std::string_view, Handler> routes = {
        {"/", hello},      {"/healthz", hello},   {"/pid", pid},           {"/echo", echo},    {"/upload", upload},
        {"/bytes", bytes}, {"/stream", stream},   {"/slow", slow},         {"/ws", websocket}, {"/headers", headers},
        {"/early", early}, {"/interim", interim}, {"/trailers", trailers}, {"/crash", crash},  {"/hang", hang},
        {"/half", half},   {"/leak", leak}};
    if (path.starts_with("/status/")) return status;
    const auto found = routes.find(path);
    return found != routes.end() ? found->second : [](Exchange& x) { x.answer(404, "text/plain", "no such route\n"); };
}

void serve(int fd, Connections& connections) {
    Wire wire(fd);
    try {
        for (bool keep = true; keep;) {
            connections.set(fd, Connections::Does::idle);
            const auto request = read_request(wire);
            connections.set(fd, Connections::Does::working);
            Body body(wire, request);
            keep = request.version == "HTTP/1.1" && !same_word(request.field("connection"), "close") &&
                   !connections.stopping();
            Exchange exchange{wire, request, body, connections, keep};
            handler_of(request.path())(exchange);
            keep = exchange.keep && !body.unasked();
            while (keep && !body.next().empty()) {
            }
        }
        ::shutdown(fd, SHUT_WR);
    } catch (const Gone&) {
    }
    connections.remove(fd);
}

int fail(const char* what) {
    std::fprintf(stderr, "demo: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

int listen_unix(const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    ::unlink(path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(path);
    return fd;
}

int listen_tcp(const char* port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(number(port).value_or(0)));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(port);
    return fd;
}

int listener(int argc, char** argv) {
    const std::string_view flag = argc == 3 ? argv[1] : "";
    const char* port = flag == "--port" ? argv[2] : std::getenv("PORT");
    int fd = -1;
    if (flag == "--fd")
        fd = static_cast<int>(number(argv[2]).value_or(0));
    else if (flag == "--uds")
        fd = listen_unix(argv[2]);
    else if (port != nullptr)
        fd = listen_tcp(port);
    else
        std::fputs("usage: edgeproxy-demo-worker [--fd N | --uds PATH | --port N]   (or PORT in the environment)\n",
                   stderr);
    if (fd < 0) std::exit(2);
    if (::listen(fd, 1024) != 0) fail("listen");
    return fd;
}

void start_as_the_environment_says() {
    const char* failing = std::getenv("DEMO_FAIL_START");
    if (failing != nullptr && *failing != '\0' &&
        (std::strchr(failing, '/') == nullptr || ::access(failing, F_OK) == 0)) {
        std::fputs("demo: failing at start as asked\n", stderr);
        std::exit(3);
    }
    const char* delay = std::getenv("DEMO_START_DELAY_MS");
    if (delay != nullptr) pause_ms(number(delay).value_or(0));
}

void accept_one(int listening, Connections& connections) {
    const int fd = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections.set(fd, Connections::Does::idle);
    std::thread(serve, fd, std::ref(connections)).detach();
}

}  // namespace

int main(int argc, char** argv) {
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    start_as_the_environment_says();
    pthread_sigmask(SIG_BLOCK, &stop, nullptr);  // from here on TERM is read, before any thread can take it
    const int listening = listener(argc, argv);
    const int signals = ::signalfd(-1, &stop, SFD_CLOEXEC);
    static Connections connections;  // outlives the detached threads
    std::fprintf(stderr, "demo: serving, pid %d\n", ::getpid());
    for (std::array<pollfd, 2> waits{{{listening, POLLIN, 0}, {signals, POLLIN, 0}}};;) {
        if (::poll(waits.data(), waits.size(), -1) < 0) continue;
        signalfd_siginfo signal{};
        if (waits[1].revents != 0 && ::read(signals, &signal, sizeof signal) > 0 &&
            std::getenv("DEMO_IGNORE_TERM") == nullptr)
            break;
        if (waits[0].revents != 0) accept_one(listening, connections);
    }
    ::close(listening);
    connections.finish();
    std::_Exit(0);
}
