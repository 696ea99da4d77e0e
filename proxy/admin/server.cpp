// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/server.hpp"

#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "proxy/admin/host_check.hpp"

namespace edgeproxy::admin {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using Stream = boost::beast::basic_stream<asio::generic::stream_protocol, asio::io_context::executor_type>;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

/// After accept failed for want of descriptors or memory.
constexpr std::chrono::milliseconds accept_pause{100};
constexpr std::string_view plain_text = "text/plain; charset=utf-8";
constexpr std::string_view metrics_text = "text/plain; version=0.0.4; charset=utf-8";

std::string_view view(boost::beast::string_view text) {
    return {text.data(), text.size()};
}

Response respond(http::status status, std::string body, std::string_view type = plain_text) {
    Response response{status, 11};
    response.set(http::field::server, "edgeproxy");
    response.set(http::field::content_type, boost::beast::string_view(type.data(), type.size()));
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.body() = std::move(body);
    return response;
}

bool asks_verbose(std::string_view query) {
    return ("&" + std::string(query) + "&").find("&verbose&") != std::string::npos ||
           ("&" + std::string(query)).find("&verbose=") != std::string::npos;
}

Response page(const Answers& answers, std::string_view target) {
    const std::size_t mark = target.find('?');
    const std::string_view path = target.substr(0, mark);
    if (path == answers.metrics_path && answers.metrics) {
        return respond(http::status::ok, answers.metrics(), metrics_text);
    }
    if (path == "/livez" && answers.live) {
        return answers.live() ? respond(http::status::ok, "live\n")
                              : respond(http::status::service_unavailable, "an event loop does not turn\n");
    }
    if (path == "/readyz" && answers.readiness) {
        const Readiness readiness = answers.readiness();
        const bool verbose = mark != std::string_view::npos && asks_verbose(target.substr(mark + 1));
        return respond(readiness.ready ? http::status::ok : http::status::service_unavailable, readiness.text(verbose));
    }
    if (path == "/api/v1/status" && answers.status) {
        return respond(http::status::ok, answers.status(), "application/json");
    }
    return respond(http::status::not_found, "not found\n");
}

/// Why the request is refused, or nothing.
std::optional<Response> refusal(const Answers& answers, const Request& request, AdminRefusal& why) {
    why = AdminRefusal::method;
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        Response response = respond(http::status::method_not_allowed, "only GET and HEAD\n");
        response.set(http::field::allow, "GET, HEAD");
        return response;
    }
    why = AdminRefusal::host;
    const auto hosts = request.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && request.version() >= 11)) {
        return respond(http::status::bad_request, "one Host is needed\n");
    }
    if (hosts == 1 && !is_allowed_host(view(request[http::field::host]), answers.hosts)) {
        return respond(http::status::forbidden, "this Host is not ours: use an IP address or localhost\n");
    }
    return std::nullopt;
}

Response answer(const Answers& answers, const Request& request, AdminRefusals& counted) {
    AdminRefusal why{};
    if (auto refused = refusal(answers, request, why)) {
        ++counted[static_cast<std::size_t>(why)];
        return std::move(*refused);
    }
    try {
        Response found = page(answers, view(request.target()));
        if (found.result() == http::status::not_found) ++counted[static_cast<std::size_t>(AdminRefusal::not_found)];
        return found;
    } catch (const std::exception&) {
        return respond(http::status::internal_server_error, "internal error\n");
    }
}

/// The answer to bytes that are no request, if there is one to give.
std::optional<Response> complaint(const error_code& error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return respond(http::status::request_header_fields_too_large, "the request head is too large\n");
    }
    const bool unread = error == http::error::end_of_stream || error == http::error::partial_message;
    if (unread || error.category() != http::make_error_code(http::error::bad_method).category()) return std::nullopt;
    return respond(http::status::bad_request, "not an HTTP request\n");
}

bool has_body(const Request& request) {
    const auto length = request[http::field::content_length];
    return request.chunked() || (!length.empty() && length != "0");
}

/// No descriptor or memory for another connection: it will pass.
bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

std::string_view word(AdminRefusal reason) {
    constexpr std::array<std::string_view, admin_refusals> words{"method", "host", "malformed", "not_found"};
    return words[static_cast<std::size_t>(reason)];
}

/// Shared with the coroutines: they may outlive the server by one resumption.
struct Server::State : std::enable_shared_from_this<State> {
    State(asio::io_context& context, Answers answers, const ServerLimits& limits)
        : context(context), limits(limits), answers(std::move(answers)) {}

    asio::awaitable<void> accept(std::shared_ptr<State> self, asio::posix::stream_descriptor& listening);
    asio::awaitable<void> serve(std::shared_ptr<State> self, Stream stream);
    asio::awaitable<bool> serve_one(Stream& stream, boost::beast::flat_buffer& buffer);
    void take(int fd);
    bool make_room();
    void leave();
    void stop();

    /// In the list of those who wait for a request.
    struct Waiting {
        Waiting(State& state, Stream& stream) : state(state), stream(&stream) { state.reading.push_back(&stream); }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        ~Waiting() { state.reading.remove(stream); }
        State& state;
        Stream* stream;
    };

    asio::io_context& context;
    const ServerLimits limits;
    Answers answers;
    std::list<asio::posix::stream_descriptor> listeners;
    std::set<Stream*> streams;
    std::list<Stream*> reading;  ///< of these, who waits for a request, whoever does so for longest first
    AdminRefusals refused{};
    bool stopped = false;
};

asio::awaitable<void> Server::State::accept(std::shared_ptr<State> self, asio::posix::stream_descriptor& listening) {
    asio::steady_timer pause(self->context);
    while (!self->stopped) {
        error_code error;
        co_await listening.async_wait(asio::posix::stream_descriptor::wait_read,
                                      asio::redirect_error(asio::use_awaitable, error));
        if (error || self->stopped) co_return;
        const int fd = ::accept4(listening.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            self->take(fd);
            continue;
        }
        if (!is_shortage(errno)) continue;
        pause.expires_after(accept_pause);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
}

void Server::State::take(int fd) {
    io::UniqueFd owned{fd};
    if (streams.size() >= limits.max_connections && !make_room()) return;
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) return;
    Stream stream(context.get_executor());
    error_code error;
    stream.socket().assign(asio::generic::stream_protocol(name.ss_family, 0), fd, error);
    if (error) return;
    owned.release();
    asio::co_spawn(context, serve(shared_from_this(), std::move(stream)), asio::detached);
}

/// Who asks nothing makes room: idle connections must not keep a scrape or a probe out.
bool Server::State::make_room() {
    if (reading.empty()) return false;
    Stream* const oldest = reading.front();
    reading.pop_front();
    oldest->close();
    return true;
}

asio::awaitable<void> Server::State::serve(std::shared_ptr<State> self, Stream stream) {
    struct Listed {
        State& state;
        Stream* stream;
        ~Listed() { state.streams.erase(stream); }
    };
    const Listed listed{*self, *self->streams.insert(&stream).first};
    boost::beast::flat_buffer buffer(2 * self->limits.max_head);
    for (bool go_on = true; go_on && !self->stopped;) go_on = co_await self->serve_one(stream, buffer);
    error_code ignored;
    stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

/// Reads one request and answers it; false when the connection is over.
asio::awaitable<bool> Server::State::serve_one(Stream& stream, boost::beast::flat_buffer& buffer) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits.max_head));
    error_code error;
    stream.expires_after(limits.longest_wait);
    {
        const Waiting waiting{*this, stream};
        co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
    }
    std::optional<Response> response;
    if (error) {
        response = complaint(error);
        if (!response) co_return false;
        ++refused[static_cast<std::size_t>(AdminRefusal::malformed)];
        response->keep_alive(false);
    } else {
        const Request& request = parser.get();
        response = answer(answers, request, refused);
        // A body is never read: what follows it could be taken for a request.
        response->keep_alive(request.keep_alive() && !has_body(request));
    }
    response->prepare_payload();
    http::response_serializer<http::string_body> serializer(*response);
    stream.expires_after(limits.longest_wait);
    if (parser.get().method() == http::verb::head) {
        co_await http::async_write_header(stream, serializer, asio::redirect_error(asio::use_awaitable, error));
    } else {
        co_await http::async_write(stream, serializer, asio::redirect_error(asio::use_awaitable, error));
    }
    co_return !error && response->keep_alive();
}

void Server::State::leave() {
    error_code ignored;
    for (auto& listening : listeners) listening.close(ignored);
}

void Server::State::stop() {
    stopped = true;
    leave();
    for (Stream* stream : streams) stream->close();
}

Server::Server(asio::io_context& context, Answers answers, const ServerLimits& limits)
    : state_(std::make_shared<State>(context, std::move(answers), limits)) {}

Server::~Server() {
    stop();
}

void Server::listen(io::UniqueFd listening) {
    int accepts = 0;
    socklen_t length = sizeof accepts;
    if (::getsockopt(listening.get(), SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) != 0 || accepts == 0) {
        throw boost::system::system_error(error_code(EINVAL, boost::system::generic_category()),
                                          "not a listening socket");
    }
    auto& descriptor = state_->listeners.emplace_back(state_->context, listening.release());
    descriptor.non_blocking(true);
    asio::co_spawn(state_->context, state_->accept(state_, descriptor), asio::detached);
}

void Server::set_answers(Answers answers) {
    state_->answers = std::move(answers);
}

std::size_t Server::connections() const {
    return state_->streams.size();
}

const AdminRefusals& Server::refused() const {
    return state_->refused;
}

void Server::leave() {
    state_->leave();
}

void Server::stop() {
    state_->stop();
}

}  // namespace edgeproxy::admin
