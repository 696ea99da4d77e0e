// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/fields.hpp"
#include "proxy/http/limits.hpp"

namespace edgeproxy::http {

/// What a reader says after each call.
struct ReadResult {
    enum class Status : std::uint8_t { incomplete, complete, failed };
    Status status = Status::incomplete;
    errc error = errc::ok;      ///< with failed
    std::size_t head_size = 0;  ///< with complete: bytes of `buffered` that the head took; the body begins behind them
};

/// The part that both readers share: field lines, resumable at any byte. All places are offsets from the beginning of
/// the head, because the buffer may move.
class HeadScanner {
 public:
    explicit HeadScanner(const Limits& limits) : limits_(limits) {}

 protected:
    enum class Step : std::uint8_t { start, first_word, target, tail, line, name, value };

    void restart();
    void follow_buffer(std::string_view buffered, Fields& fields);
    ReadResult fail(errc error);
    ReadResult wait(std::size_t scanned);
    /// Reads field lines from `scanned_` on (step line, name or value) up to the empty line.
    ReadResult read_fields(std::string_view buffered, Fields& fields);

 private:
    std::size_t read_whole_lines(std::string_view buffered, Fields& fields);
    errc begin_line(char first, std::size_t offset, const Fields& fields);
    errc read_name(std::string_view buffered);
    errc read_value(std::string_view buffered, Fields& fields);
    std::size_t budget(std::size_t limit) const;

 protected:
    Limits limits_;
    Step step_ = Step::start;
    errc failed_ = errc::ok;
    bool odd_ = false;              ///< the name holds a byte besides letters, digits and '-'
    std::uint32_t first_ = 0;       ///< of the first line: behind a skipped CRLF
    std::uint32_t line_ = 0;        ///< of the line that is being read
    std::uint32_t word_end_ = 0;    ///< of the blank behind the first word of the first line
    std::uint32_t target_end_ = 0;  ///< of the blank behind the target, or of the CR behind the reason
    std::uint32_t colon_ = 0;       ///< of the colon of the field line
    std::uint32_t scanned_ = 0;     ///< of the first byte not looked at yet
    std::size_t charged_ = 0;       ///< against Limits::header_bytes
    std::uintptr_t base_ = 0;       ///< where the buffer lay in the last call
};

}  // namespace edgeproxy::http
