// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/error.hpp"

#include <array>
#include <cstddef>

namespace edgeproxy::http {
namespace {

struct Row {
    errc error;
    std::string_view word;
    unsigned status;
};

constexpr std::array<Row, static_cast<std::size_t>(errc::count_)> rows{{
    {errc::ok, "ok", 200},
    {errc::bad_request_line, "bad_request_line", 400},
    {errc::bad_target, "bad_target", 400},
    {errc::bad_version, "bad_version", 505},
    {errc::forbidden_method, "forbidden_method", 405},
    {errc::unknown_protocol, "unknown_protocol", 501},
    {errc::line_too_long, "line_too_long", 414},
    {errc::bad_field, "bad_field", 400},
    {errc::obs_fold, "obs_fold", 400},
    {errc::bare_lf, "bare_lf", 400},
    {errc::bare_cr, "bare_cr", 400},
    {errc::head_too_large, "head_too_large", 431},
    {errc::field_too_large, "field_too_large", 431},
    {errc::too_many_fields, "too_many_fields", 431},
    {errc::no_host, "no_host", 400},
    {errc::bad_host, "bad_host", 400},
    {errc::duplicate_host, "duplicate_host", 400},
    {errc::both_lengths, "both_lengths", 400},
    {errc::bad_length, "bad_length", 400},
    {errc::duplicate_length, "duplicate_length", 400},
    {errc::bad_transfer_encoding, "bad_transfer_encoding", 400},
    {errc::transfer_encoding_on_http10, "transfer_encoding_on_http10", 400},
    {errc::unknown_coding, "unknown_coding", 501},
    {errc::bad_connection, "bad_connection", 400},
    {errc::bad_expect, "bad_expect", 417},
    {errc::bad_upgrade_bytes, "bad_upgrade_bytes", 400},
    {errc::bad_chunk, "bad_chunk", 400},
    {errc::chunk_ext_too_long, "chunk_ext_too_long", 400},
    {errc::bad_trailer, "bad_trailer", 400},
    {errc::trailer_too_large, "trailer_too_large", 400},
    {errc::bad_status_line, "bad_status_line", 502},
    {errc::bad_switch, "bad_switch", 502},
    {errc::truncated, "truncated", 400},
}};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].error != static_cast<errc>(i) || rows[i].word.empty()) return false;
    }
    return true;
}
static_assert(rows_are_in_order());

}  // namespace

std::string_view word(errc error) {
    return rows[static_cast<std::size_t>(error)].word;
}

unsigned status(errc error) {
    return rows[static_cast<std::size_t>(error)].status;
}

}  // namespace edgeproxy::http
