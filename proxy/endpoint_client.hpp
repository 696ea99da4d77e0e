// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "proxy/answer.hpp"
#include "upstream/admission.hpp"
#include "upstream/error.hpp"

namespace edgeproxy::proxy {

/// A request as it leaves for an endpoint.
struct OutgoingRequest {
    std::string_view head;                  ///< as it is written for HTTP/1.1, see rewrite.hpp
    http::Body body;                        ///< none, length or chunked
    std::string_view data;                  ///< what is here of the body
    bool done = false;                      ///< that is all of it
    std::span<const http::Field> trailers;  ///< behind a chunked body, with `done`
};

/// One request at an endpoint and its answer, whatever the version of HTTP: the endpoint's counterpart of Exchange.
///
/// Implemented by http1_client and http2_client. What the endpoint sends is as untrusted as what a client sends. The
/// order is `send`, `send_body` until it is done, beside it `read_head` until the final one, `read_body` until it is
/// done, `finish`. Destroyed before `finish` it breaks the request off. Errors are upstream::errc. One reactor thread;
/// destroyed only while no operation is pending.
class EndpointClient {
 public:
    EndpointClient(const EndpointClient&) = delete;
    EndpointClient& operator=(const EndpointClient&) = delete;

    /// Sends the head and the first bytes of the body.
    virtual io::Task<upstream::Result<void>> send(const OutgoingRequest& request) = 0;
    /// Sends more of the body. `trailers` only with the last of it.
    virtual io::Task<upstream::Result<void>> send_body(BodyPiece piece, std::span<const http::Field> trailers) = 0;
    /// After `send`: the rest of the body leaves just as it is, so it may come in a pipe.
    virtual bool takes_pipes() const { return false; }
    /// Until the endpoint has said anything (true), or `deadline`.
    virtual io::Task<upstream::Result<bool>> wait_for_word(io::TimePoint deadline) = 0;

    /// Reads the next head into the response: an interim one, the final one, or a switch of protocols.
    virtual io::Task<upstream::Result<void>> read_head(http::Method method) = 0;
    /// All of a body of known length is here.
    virtual bool has_body() const = 0;
    /// After the final head: waits until all of a body that fits the buffer is here, or `deadline`, which is no error.
    virtual io::Task<upstream::Result<void>> gather(io::TimePoint deadline) = 0;
    /// What is already here of the body. `done` when that is all of it.
    virtual BodyPiece body_at_hand() = 0;
    /// The next bytes of the body. Only once the head was sent on: its views end here.
    virtual io::Task<upstream::Result<BodyPiece>> read_body() = 0;
    /// Who gets the pieces of the body takes pipes too.
    void allow_pipes(bool allowed) { pipes_allowed_ = allowed; }

    /// Reads that are pending or begin later end with a timeout then.
    virtual void read_deadline(io::TimePoint deadline) = 0;
    /// Writes end with write_timeout when the endpoint took not one byte for so long.
    virtual void write_stall(io::Duration longest) = 0;
    /// Ends what is pending, and everything later, with `cancelled`.
    virtual void cancel() = 0;
    /// Bytes of memory that wait here for whoever reads the answer.
    virtual std::size_t held() const = 0;
    /// The exchange is over and nothing is left to send: the connection is kept if it is clean.
    virtual void finish(upstream::Admission& admission) = 0;

    /// A byte of an answer has come.
    bool begun() const { return begun_; }
    /// The last failure was a reset, which a unix socket gives only if the peer had bytes of ours unread.
    bool was_reset() const { return reset_; }

 protected:
    EndpointClient() = default;
    ~EndpointClient() = default;
    bool pipes_allowed() const { return pipes_allowed_; }
    bool begun_ = false;
    bool reset_ = false;

 private:
    bool pipes_allowed_ = false;
};

}  // namespace edgeproxy::proxy
