// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

#include "proxy/http/http2_heap.hpp"

// What the sessions of both sides ask of nghttp2 alike. Only their sources include this.
namespace edgeproxy::http {

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// There is no other reason for a session not to begin.
inline void check(int result) {
    if (result != 0) throw std::bad_alloc();
}

/// A callback for the library, which is C: an exception of `callback` (there is no memory) ends the connection instead
/// of the process.
template <auto callback>
inline constexpr auto guarded = callback;
template <class Result, class... Arguments, Result (*callback)(Arguments...)>
inline constexpr auto guarded<callback> = +[](Arguments... arguments) -> Result {
    try {
        return callback(arguments...);
    } catch (const std::bad_alloc&) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
};

/// What a session of the library is made of; it may go once the session is made. Throws std::bad_alloc.
class Http2Library {
 public:
    /// Bounds of the library's own.
    struct Bounds {
        std::size_t continuations;  ///< frames behind one HEADERS
        std::size_t settings;       ///< in one SETTINGS frame
        std::size_t acks;           ///< that wait to be sent
        std::size_t head;           ///< bytes of a head that is sent
    };

    /// `heap`: null is malloc's.
    Http2Library(const Bounds& bounds, const Http2Heap* heap) : has_heap_(heap != nullptr) {
        nghttp2_session_callbacks* callbacks = nullptr;
        check(nghttp2_session_callbacks_new(&callbacks));
        callbacks_.reset(callbacks);
        nghttp2_option* option = nullptr;
        check(nghttp2_option_new(&option));
        option_.reset(option);
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_continuations(option, bounds.continuations);
        nghttp2_option_set_max_settings(option, bounds.settings);
        nghttp2_option_set_max_outbound_ack(option, bounds.acks);
        nghttp2_option_set_max_send_header_block_length(option, bounds.head);
        if (has_heap_) memory_ = {nullptr, heap->allocate, heap->release, heap->allocate_clear, heap->resize};
    }

    nghttp2_session_callbacks* callbacks() const { return callbacks_.get(); }
    nghttp2_option* option() const { return option_.get(); }
    /// Null: malloc's.
    nghttp2_mem* memory() { return has_heap_ ? &memory_ : nullptr; }

 private:
    struct Delete {
        void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
        void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
    };
    std::unique_ptr<nghttp2_session_callbacks, Delete> callbacks_;
    std::unique_ptr<nghttp2_option, Delete> option_;
    nghttp2_mem memory_{};
    const bool has_heap_;
};

}  // namespace edgeproxy::http
