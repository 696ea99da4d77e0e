// SPDX-License-Identifier: Apache-2.0
#include "tls/session.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "tls/bio.hpp"
#include "tls/context.hpp"
#include "tls/error.hpp"

namespace edgeproxy::tls {
namespace {

/// What OpenSSL's queue says, in our words. Takes the queue's first entry of the SSL library; the queue is not cleared.
errc meaning(unsigned long error) {
    const int reason = ERR_GET_REASON(error);
    if (reason == ERR_R_MALLOC_FAILURE) return errc::out_of_memory;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) return errc::protocol;
    if (reason > SSL_AD_REASON_OFFSET) {
        const int alert = reason - SSL_AD_REASON_OFFSET;
        const bool about_certificate = (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
                                       alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED;
        return about_certificate ? errc::certificate_refused : errc::alert;
    }
    switch (reason) {
        case SSL_R_NO_APPLICATION_PROTOCOL:
            return errc::no_alpn;
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return errc::no_client_certificate;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        case SSL_R_INAPPROPRIATE_FALLBACK:
            return errc::nothing_shared;
        default:
            return errc::protocol;
    }
}

/// Why a client's certificate did not pass, by the result of its verification.
errc meaning_of_verdict(long verdict) {
    switch (verdict) {
        case X509_V_ERR_CERT_REVOKED:
            return errc::client_revoked;
        case X509_V_ERR_CERT_HAS_EXPIRED:
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return errc::client_expired;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            return errc::client_unknown_ca;
        default:
            return errc::client_invalid;
    }
}

/// An HTTP request begins with a token in capitals, a TLS record with 22 (RFC 8446, section 5.1).
bool begins_like_http(std::string_view input) {
    return input.front() >= 'A' && input.front() <= 'Z';
}

/// Room for the records that carry `size` plain bytes, so that what is received nearly always fits what is read.
std::size_t window_for(std::size_t size) {
    return std::clamp(size + size / 512 + 512, Windows::record + Windows::record_overhead, Windows::input_size);
}

}  // namespace

Session::Session(io::Socket& socket, Windows& windows, const Context& context)
    : socket_(socket), windows_(windows), context_(&context) {}

Session::Session(io::Socket& socket, Windows& windows, const ClientContext& context, const ClientPeer& peer)
    : socket_(socket),
      windows_(windows),
      client_(&context),
      peer_(&peer),
      resumption_(peer.resumption),
      most_received_(max_with_certificate) {}

Session::~Session() {
    // Else OpenSSL would take the session for broken and never resume it.
    if (resumption_ && established_ && !write_end_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN);
    drop_tail();
}

std::size_t Session::pull(char* out, std::size_t size) {
    if (input_.empty() && !refill()) return 0;
    const std::size_t count = std::min(size, input_.size());
    std::memcpy(out, input_.data(), count);
    input_.remove_prefix(count);
    return count;
}

bool Session::refill() {
    if (!may_receive_ || input_ended() || !socket_.readable()) return false;
    rest_.release();
    const std::span<char> window = windows_.input().first(receive_size_);
    const io::Socket::Raw got = socket_.receive(window);
    receive_error_ = got.error;
    if (got.bytes == 0) return false;
    if (!established_ && (received_ += got.bytes) > most_received_) {
        refusal_ = errc::too_large;
        return false;
    }
    input_ = {window.data(), got.bytes};
    return true;
}

/// What OpenSSL did not read must leave the window. Without memory for it this session is over.
void Session::keep_rest() {
    if (input_.empty()) return rest_.release();
    if (rest_) return;
    try {
        io::BufferPool& pool = socket_.reactor().buffers();
        rest_ = input_.size() <= io::BufferPool::small ? pool.take_small() : pool.take_large();
        std::memcpy(rest_.data(), input_.data(), input_.size());
        input_ = {rest_.data(), input_.size()};
    } catch (const std::bad_alloc&) {
        input_ = {};
        fail(errc::out_of_memory);
    }
}

bool Session::begin(io::error_code& error) {
    return client_ != nullptr ? begin_as_client(error) : begin_as_server(error);
}

/// Gives a fresh `ssl_` our BIO. False when there is no memory for it.
bool Session::attach() {
    BIO* const bio = ssl_ ? make_bio(*this) : nullptr;
    if (bio == nullptr) {
        ERR_clear_error();
        ssl_.reset();
        return false;
    }
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), this);
    return true;
}

bool Session::begin_as_server(io::error_code& error) {
    if (!refill()) {
        error = refusal_ ? refusal_ : receive_error_;
        return false;
    }
    if (begins_like_http(input_)) {
        error = errc::plain_http;
        return false;
    }
    const Identities& identities = context_->identities();
    ssl_.reset(SSL_new(identities.ssl_ctx(identities.choose({}))));
    if (!attach()) {
        error = errc::out_of_memory;
        return false;
    }
    SSL_set_accept_state(ssl_.get());
    return true;
}

bool Session::begin_as_client(io::error_code& error) {
    char unasked = 0;
    const io::Socket::Raw early = socket_.receive({&unasked, 1});
    error = early.bytes > 0 ? make_error_code(errc::spoke_first) : early.error;
    if (error) return false;
    ssl_ = client_->make(*peer_);
    if (!attach()) {
        error = errc::out_of_memory;
        return false;
    }
    return true;
}

Session::Step Session::handshake(io::error_code& error) {
    const Windows::Claim claim{windows_};
    receive_size_ = window_for(0);
    if (!ssl_ && !begin(error)) {
        input_ = {};
        return error ? Step::failed : Step::unread;
    }
    const int result = SSL_do_handshake(ssl_.get());
    if (result != 1) {
        error = failure(result);
        if (error == io::errc::eof) error = errc::truncated;
    }
    keep_rest();
    io::error_code send_error;
    send_output(send_error);
    if (!error) error = send_error;
    if (!error && result == 1 && !client_is_valid_still()) error = errc::client_expired;
    if (error) return Step::failed;
    if (result != 1) return Step::wait;
    established_ = true;
    context_ = nullptr;
    client_ = nullptr;
    peer_ = nullptr;
    received_ = 0;
    return Step::done;
}

/// A resumed handshake looks at no certificate; what has been revoked or is no longer believed cannot resume anyway.
bool Session::client_is_valid_still() const {
    if (SSL_is_server(ssl_.get()) != 1 || SSL_session_reused(ssl_.get()) != 1) return true;
    const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    return certificate == nullptr || X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

bool Session::has_input() const {
    return !input_.empty() || read_end_ || (ssl_ && SSL_pending(ssl_.get()) > 0);
}

bool Session::read(io::ReadOperation& op) noexcept {
    if (has_tail() && !socket_.writing()) {
        // Something that reading had to answer (KeyUpdate); nobody else would send it. An error shows in the next
        // write.
        io::error_code ignored;
        flush_tail(ignored);
    }
    if (!has_input() && !socket_.readable()) return false;
    if (!read_end_) op.transferred = decrypt(op);
    if (op.transferred == 0) op.error = read_end_;
    return op.transferred > 0 || op.error;
}

/// Reads records while there are received ones; receives (at most what `op` has room for) only while it has nothing.
std::size_t Session::decrypt(io::ReadOperation& op) {
    const Windows::Claim claim{windows_};
    receive_size_ = window_for(op.size);
    std::size_t got = 0;
    do {
        std::size_t count = 0;
        const int result = SSL_read_ex(ssl_.get(), op.data + got, op.size - got, &count);
        if (result != 1) {
            read_end_ = failure(result);
            break;
        }
        got += count;
        may_receive_ = false;
    } while (got < op.size && !input_.empty());
    may_receive_ = true;
    received_ += got;
    keep_rest();
    io::error_code ignored;
    send_output(ignored);
    return got;
}

bool Session::write(io::WriteOperation& op) noexcept {
    op.error = write_end_;
    while (!op.error) {
        if (!flush_tail(op.error)) break;
        if (op.first == op.pieces.size()) return true;
        if (!socket_.writable()) return false;
        const Windows::Claim claim{windows_};
        encrypt(op);
        send_output(op.error);
        if (!op.error) op.error = write_end_;
    }
    if (op.error) write_end_ = op.error;
    return static_cast<bool>(op.error);
}

/// Fills the batch with records of what `op` has left.
void Session::encrypt(io::WriteOperation& op) {
    const io::TimePoint now = socket_.reactor().now();
    if (now - last_write_ > idle) in_small_records_ = 0;
    last_write_ = now;
    while (op.first < op.pieces.size()) {
        const std::span<const char> record = next_record(op);
        if (windows_.room() < record.size() + Windows::record_overhead) return;
        std::size_t count = 0;
        const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &count);
        if (result != 1) {
            write_end_ = failure(result);
            if (!write_end_) write_end_ = errc::protocol;
            return;
        }
        op.consume(count);
        if (in_small_records_ < small_records) in_small_records_ += count;
    }
}

/// The bytes of the next record: of one piece as they lie, or the end of one and what follows together in the scratch,
/// because a record costs far more than a copy.
std::span<const char> Session::next_record(const io::WriteOperation& op) {
    const std::size_t limit = in_small_records_ < small_records ? small_record : Windows::record;
    const iovec& piece = op.pieces[op.first];
    const std::size_t whole = std::min(limit, op.remaining());
    if (piece.iov_len >= whole) return {static_cast<const char*>(piece.iov_base), whole};
    const std::span<char> scratch = windows_.scratch();
    std::size_t filled = 0;
    for (std::size_t i = op.first; filled < whole; ++i) {
        const std::size_t part = std::min(whole - filled, op.pieces[i].iov_len);
        std::memcpy(scratch.data() + filled, op.pieces[i].iov_base, part);
        filled += part;
    }
    return scratch.first(whole);
}

/// Sends the batch; what the kernel does not take becomes the tail. False when there is a tail or an error.
bool Session::send_output(io::error_code& error) {
    std::span<const char> left = windows_.output();
    while (!left.empty() && !has_tail()) {
        const iovec piece{const_cast<char*>(left.data()), left.size()};
        const io::Socket::Raw sent = socket_.send(&piece, 1);
        left = left.subspan(sent.bytes);
        error = sent.error;
        if (sent.error || sent.again) break;
    }
    if (!left.empty() && !error) {
        error = keep_tail(left);
        write_end_ = error;  // records are lost: none may follow them
    }
    windows_.clear_output();
    return !error && !has_tail();
}

/// An error when there is no room: only for small answers behind a tail that is there already.
io::error_code Session::keep_tail(std::span<const char> left) {
    try {
        return keep_behind_tail(left) ? io::error_code() : errc::flood;
    } catch (const std::bad_alloc&) {
        return errc::out_of_memory;
    }
}

bool Session::keep_behind_tail(std::span<const char> left) {
    if (!has_tail()) {
        drop_tail();
        if (left.size() > io::BufferPool::small / 2) {
            tail_begin_ = static_cast<std::size_t>(left.data() - windows_.output().data());
            tail_end_ = tail_begin_ + left.size();
            big_tail_ = windows_.give_batch();
            return true;
        }
        small_tail_ = socket_.reactor().buffers().take_small();
    }
    const std::size_t capacity = small_tail_ ? small_tail_.size() : Windows::batch_size;
    if (left.size() > capacity - tail_end_) return false;
    std::memcpy((small_tail_ ? small_tail_.data() : big_tail_.get()) + tail_end_, left.data(), left.size());
    tail_end_ += left.size();
    return true;
}

void Session::drop_tail() {
    small_tail_.release();
    if (big_tail_) windows_.take_back(std::move(big_tail_));
    tail_begin_ = tail_end_ = 0;
}

/// True when nothing of the tail is left.
bool Session::flush_tail(io::error_code& error) {
    while (has_tail()) {
        char* data = small_tail_ ? small_tail_.data() : big_tail_.get();
        const iovec piece{data + tail_begin_, tail_end_ - tail_begin_};
        const io::Socket::Raw sent = socket_.send(&piece, 1);
        tail_begin_ += sent.bytes;
        error = sent.error;
        if (sent.error || sent.again) return false;
    }
    if (tail_end_ > 0) drop_tail();
    return true;
}

bool Session::write_at_once(std::string_view text) {
    if (!established_ || write_end_ || has_tail()) return false;
    const Windows::Claim claim{windows_};
    std::size_t count = 0;
    if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &count) != 1) {
        ERR_clear_error();
        return false;
    }
    io::error_code ignored;  // the next read or write meets it
    send_output(ignored);
    return true;
}

void Session::close_notify() {
    io::error_code ignored;
    if (!established_ || write_end_ || !flush_tail(ignored)) return;
    const Windows::Claim claim{windows_};
    if (SSL_shutdown(ssl_.get()) < 0) ERR_clear_error();
    send_output(ignored);
}

bool Session::truncated() const {
    return ssl_ && receive_error_ == io::errc::eof && (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) == 0;
}

bool Session::flooded() const {
    return refusal_ == errc::flood;
}

void Session::glitch() {
    if (!established_) return;
    if (++glitches_ > free_glitches + received_ / bytes_per_glitch) refusal_ = errc::flood;
}

/// Why the call that just failed did; no error when OpenSSL only wants more bytes. Leaves OpenSSL's queue empty, which
/// is what SSL_get_error needs before the next call.
io::error_code Session::failure(int result) {
    io::error_code why;
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ) return why;
    if (refusal_) {
        why = refusal_;
    } else if (error == SSL_ERROR_ZERO_RETURN) {
        why = io::errc::eof;
    } else if (receive_error_ && error != SSL_ERROR_SSL) {
        why = receive_error_;
    } else {
        unsigned long first = ERR_get_error();
        while (first != 0 && ERR_GET_LIB(first) != ERR_LIB_SSL && ERR_peek_error() != 0) first = ERR_get_error();
        const bool verdict =
            ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_CERTIFICATE_VERIFY_FAILED;
        why = !verdict                         ? meaning(first)
              : SSL_is_server(ssl_.get()) == 1 ? meaning_of_verdict(SSL_get_verify_result(ssl_.get()))
                                               : certificate_error(ssl_.get());
    }
    ERR_clear_error();
    return why;
}

}  // namespace edgeproxy::tls
