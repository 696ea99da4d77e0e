// SPDX-License-Identifier: Apache-2.0
#include "proxy/local_reply.hpp"

#include <array>
#include <charconv>

#include "proxy/http/http1_writer.hpp"
#include "proxy/respond/error_pages.hpp"
#include "proxy/respond/grpc.hpp"

namespace edgeproxy::proxy {
namespace {

constexpr std::array refusals{
    Reason{404, "destination_not_found", "No route takes this host and path."},
    Reason{400, "ambiguous_target",
           "The path can be read in two ways that lead to different places; send it in its plain form."},
    Reason{413, "body_too_large", "The request body is larger than this route allows (max_body)."},
    Reason{408, "request_timeout", "The request did not arrive in time."},
    Reason{400, "plain_http", "This port speaks TLS; use https://."},
    Reason{502, "head_overflow", "A message head grew too large on its way through."},
    Reason{403, "websocket_off", "This route takes no WebSocket connections."},
    Reason{403, "origin_not_allowed", "Pages from there may not open a WebSocket here."},
    Reason{503, "tunnel_limit", "As many WebSocket connections are open as this route allows.", true},
    Reason{421, "misdirected_request", "This connection does not serve that host; open a new one."},
    Reason{400, "bad_proxy_header", "A PROXY header was expected here."},
    Reason{503, "memory", "The server is short of memory; try again in a moment.", true},
    Reason{503, "overload", "The server is overloaded; try again in a moment.", true},
    Reason{503, "descriptor_limit_reached", "The server is overloaded; try again in a moment.", true},
    Reason{429, "rate_limited", "Too many requests from this address; try again in a moment.", true},
    Reason{504, "drain_timeout", "The application was replaced before it had answered."},
    Reason{500, "proxy_internal_error", "Something went wrong in the proxy; the log has more."},
};

constexpr Reason internal = refusals[static_cast<std::size_t>(Refusal::internal)];

constexpr std::array<Reason, upstream::errc_count> upstream_reasons{
    internal,  // no error has the value 0
    Reason{503, "queue_full", "Too many requests wait for the application.", true},
    Reason{503, "queue_timeout", "The application is busy; the request waited too long for its turn.", true},
    Reason{503, "destination_unavailable", "The application is not ready.", true},
    Reason{503, "destination_unavailable", "The application does not start.", true},
    Reason{503, "cancelled", "The request was cancelled.", true},
    Reason{503, "connection_refused", "The application refuses connections.", true},
    Reason{503, "connection_timeout", "The application does not accept connections in time.", true},
    Reason{503, "connection_failed", "The application cannot be reached.", true},
    Reason{502, "tls_protocol_error", "TLS with the application failed."},
    Reason{502, "tls_alert_received", "The application refused our TLS."},
    Reason{502, "tls_certificate_untrusted", "The application's certificate is not trusted."},
    Reason{502, "tls_certificate_expired", "The application's certificate is not valid at this time."},
    Reason{502, "tls_certificate_wrong_host", "The application's certificate is for another name."},
    Reason{502, "http2_not_spoken", "The application does not speak HTTP/2."},
    Reason{502, "http1_not_spoken", "The application speaks HTTP/2 only; WebSockets are opened over HTTP/1.1."},
    Reason{503, "http2_stream_refused", "The application did not take the request.", true},
    Reason{502, "connection_terminated", "The application closed the connection without an answer."},
    Reason{502, "connection_terminated", "The application closed the connection without an answer."},
    Reason{502, "connection_terminated", "The application reset the connection before its answer was complete."},
    Reason{504, "http_response_timeout", "The application did not answer in time."},
    Reason{504, "connection_read_timeout", "The application stopped in the middle of its answer."},
    Reason{504, "connection_write_timeout", "The application does not read the request."},
    Reason{502, "http_protocol_error", "The application's answer is not valid HTTP."},
    Reason{502, "http_response_incomplete", "The application's answer ended too early."},
};

}  // namespace

const Reason& reason(Refusal refusal) {
    return refusals[static_cast<std::size_t>(refusal)];
}

const Reason& reason(upstream::errc error) {
    return upstream_reasons[static_cast<std::size_t>(error)];
}

Reason reason(http::errc error) {
    const unsigned status = http::status(error);
    std::string_view sentence = "The request is malformed.";
    if (status == 405) sentence = "This method is not served here.";
    if (status == 414) sentence = "The request line is too long.";
    if (status == 417) sentence = "The expectation cannot be met.";
    if (status == 431) sentence = "The request head is too large.";
    if (status == 501) sentence = "This transfer coding is not supported.";
    if (error == http::errc::unknown_protocol) sentence = "No protocol but websocket is spoken in a stream here.";
    if (status == 505) sentence = "This version of HTTP is not supported.";
    return {status, http::word(error), sentence};
}

namespace {

/// A gRPC client takes no page: it is told by an answer of trailers only.
bool wants_grpc(const http::Request& request) {
    return request.version == http::Version::h2 && respond::is_grpc(request.fields.value(http::FieldId::content_type));
}

void fill_grpc(ResponseHead& head, const Reason& why) {
    head.status = 200;
    head.body.kind = http::Body::Kind::chunked;  // no length: the head is the end
    head.fields.push("Content-Type", "application/grpc");
    head.fields.push("grpc-status", respond::grpc_status(why.status));
    head.fields.push("grpc-message", why.sentence);
}

}  // namespace

io::Task<io::Result<void>> reply(Exchange& exchange, const Reason& why, const config::ErrorPages& pages,
                                 ResponseHead& head, std::string_view date, std::string_view request_id,
                                 std::vector<std::string> details, unsigned retry_after) {
    exchange.figures.error = why.word;
    if (wants_grpc(exchange.request())) {
        head.reset();
        fill_grpc(head, why);
        head.fields.push("Date", date);
        if (!request_id.empty()) head.fields.push("X-Request-ID", request_id);
        co_return co_await exchange.respond(head, {}, true);
    }
    respond::ErrorPage page;
    page.status = why.status;
    page.title = http::reason_of(why.status);
    page.sentence = why.sentence;
    page.error = why.word;
    page.request_id = request_id;
    page.details = std::move(details);
    const std::string_view accept = exchange.request().fields.value(http::FieldId::accept);
    const respond::Page rendered = respond::render(page, respond::choose_format(pages.format, accept));

    std::array<char, 12> seconds;
    const auto end = std::to_chars(seconds.data(), seconds.data() + seconds.size(), retry_after);
    head.reset();
    head.status = why.status;
    head.body = {http::Body::Kind::length, rendered.body.size()};
    head.fields.push("Content-Type", rendered.content_type);
    head.fields.push("Cache-Control", "no-store");
    head.fields.push("Date", date);
    if (!request_id.empty()) head.fields.push("X-Request-ID", request_id);
    if (why.retry_after)
        head.fields.push("Retry-After", {seconds.data(), static_cast<std::size_t>(end.ptr - seconds.data())});
    if (why.status == 405) head.fields.push("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
    const bool head_only = exchange.request().method == http::Method::head;
    co_return co_await exchange.respond(head, head_only ? std::string_view() : std::string_view(rendered.body), true);
}

}  // namespace edgeproxy::proxy
