// SPDX-License-Identifier: Apache-2.0
#include "proxy/http2_outlet.hpp"

#include <new>
#include <utility>

namespace edgeproxy::proxy {

void Http2Outlet::gather() {
    try {
        if (!out_) out_ = stream_.socket().reactor().buffers().take_large();
    } catch (const std::bad_alloc&) {
        return lose();
    }
    const std::size_t more = source_.write(out_.span().subspan(filled_, most_unsent - filled_));
    filled_ += more;
    if (more > 0) ++gathered_;
    if (filled_ == 0) out_.release();
}

void Http2Outlet::push() {
    if (flushing_ || broken_) return;  // the flush takes along whatever there is when it is through
    gather();
    if (source_.wants_room() || gathered_ >= most_gathered) {
        flush_now();
    } else if (filled_ > 0) {
        push_later();
    }
    source_.moved();
}

void Http2Outlet::batch_ended() {
    if (flushing_ || broken_) return;
    gather();
    flush_now();
    source_.moved();
}

void Http2Outlet::flush_now() {
    if (flushing_ || broken_ || filled_ == 0) return;
    try {
        flush_ = flush();
    } catch (const std::bad_alloc&) {
        return lose();
    }
    flushing_ = true;
    flush_.start();
    if (flushing_) source_.waits();
}

/// There is no memory to send with.
void Http2Outlet::lose() {
    broken_ = true;
    filled_ = 0;
    out_.release();
    source_.sent(0, boost::system::errc::make_error_code(boost::system::errc::not_enough_memory));
}

io::Task<void> Http2Outlet::flush() {
    while (filled_ > 0) {
        const auto put = co_await stream_.write_all({out_.data(), filled_});
        const std::size_t size = std::exchange(filled_, 0);
        gathered_ = 0;
        if (!put) broken_ = true;
        source_.sent(size, put ? io::error_code() : put.error());
        if (broken_) break;
        filled_ = source_.write(out_.span().first(most_unsent));
    }
    out_.release();
    flushing_ = false;
    source_.moved();
}

void Http2Outlet::push_now() {
    push();
    flush_now();
}

}  // namespace edgeproxy::proxy
