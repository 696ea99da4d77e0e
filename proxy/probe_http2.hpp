// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/http2_client_session.hpp"

namespace edgeproxy::proxy {

/// The one request of a probe over HTTP/2, without I/O. Control thread.
class Http2Probe final : http::Http2ClientEvents {
 public:
    /// `head` as for HTTP/1.1.
    Http2Probe(std::string_view head, std::string_view scheme);
    ~Http2Probe();

    void feed(std::string_view bytes);
    /// What is to be sent now.
    std::string take_output();
    /// Nothing more is needed: complete, or hopeless.
    bool over() const;
    bool complete() const { return stream_.input_ended() && status_ != 0; }
    unsigned status() const { return status_; }

 private:
    struct Stream final : http::Http2ClientStream {
        explicit Stream(http::Trailers& trailers) : Http2ClientStream(trailers) {}
    };
    bool more_memory(http::Http2ClientStream&) override { return false; }
    void head_done(http::Http2ClientStream& stream) override;
    bool data(http::Http2ClientStream& stream, std::string_view bytes) override;
    void input_ended(http::Http2ClientStream&) override {}
    void output_taken(http::Http2ClientStream&) override {}
    void closed(http::Http2ClientStream&) override {}
    void pong() override {}

    http::Trailers trailers_;
    http::Response response_;
    std::vector<char> memory_;
    Stream stream_;
    http::Http2ClientSession session_;
    std::size_t unused_ = 0;  ///< bytes of the body whose window was not given back yet
    unsigned status_ = 0;
};

}  // namespace edgeproxy::proxy
