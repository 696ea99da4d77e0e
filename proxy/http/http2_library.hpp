// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

#include "proxy/http/http2_field_list.hpp"
#include "proxy/http/http2_frame_writer.hpp"
#include "proxy/http/http2_heap.hpp"
#include "proxy/http/http2_outgoing.hpp"

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

/// The callbacks that are alike on both sides. `Session::Callbacks` derives from it, and has the others.
template <class Session>
struct Http2SharedCallbacks {
    static Session& self(void* user) { return *static_cast<Session*>(user); }

    static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
        Session& session = self(user);
        auto* const stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        if (Session::Callbacks::is_of_head(*frame, *stream))
            return session.take_field(*stream, text(name, name_size), text(value, value_size));
        session.take_trailer(*stream, text(name, name_size), text(value, value_size));
        return 0;
    }

    static ssize_t data_length(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t, std::int32_t,
                               std::uint32_t max_frame, void*) {
        return static_cast<ssize_t>(std::min<std::size_t>(max_frame, Http2FrameWriter::data_frame));
    }

    /// The library asks how much of a body its next DATA frame takes.
    static ssize_t next_data(nghttp2_session* library, std::int32_t id, std::uint8_t*, std::size_t most,
                             std::uint32_t* flags, nghttp2_data_source*, void* user) {
        Session& session = self(user);
        auto* const stream = session.find(id);
        if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        Http2Outgoing& out = stream->out_;
        if (out.data.empty() && !out.last) return NGHTTP2_ERR_DEFERRED;
        if (!session.frames_.has_room()) return NGHTTP2_ERR_PAUSE;
        const std::size_t size = std::min(most, out.data.size());
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        if (size < out.data.size() || !out.last) return static_cast<ssize_t>(size);
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (out.trailers.empty()) return static_cast<ssize_t>(size);
        Http2FieldList list;
        list.add(out.trailers);
        out.trailers = {};
        if (list.size() > 0 && nghttp2_submit_trailer(library, id, list.data(), list.size()) == 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            session.trailers_follow(*stream);
        }
        return static_cast<ssize_t>(size);
    }

    static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* frame_head, std::size_t size,
                         nghttp2_data_source*, void* user) {
        Session& session = self(user);
        auto* const stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        session.put_data(*stream, frame_head, size);
        return 0;
    }

    /// All that both sides have.
    static void set(nghttp2_session_callbacks* all) {
        using Own = typename Session::Callbacks;
        nghttp2_session_callbacks_set_on_header_callback(all, guarded<header>);
        nghttp2_session_callbacks_set_on_invalid_header_callback(all, guarded<Own::invalid_header>);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(all, guarded<Own::invalid_frame>);
        nghttp2_session_callbacks_set_on_frame_recv_callback(all, guarded<Own::frame_received>);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, guarded<Own::data_chunk>);
        nghttp2_session_callbacks_set_on_frame_send_callback(all, guarded<Own::frame_sent>);
        nghttp2_session_callbacks_set_on_stream_close_callback(all, guarded<Own::stream_closed>);
        nghttp2_session_callbacks_set_data_source_read_length_callback(all, guarded<data_length>);
        nghttp2_session_callbacks_set_send_data_callback(all, guarded<send_data>);
    }
};

}  // namespace edgeproxy::http
