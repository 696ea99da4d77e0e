// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tls/io/fd.hpp"

namespace edgeproxy::admin {

/// One place that log lines go to. Gathers whole lines and writes them in big pieces, never waiting and never changing
/// the descriptor's flags (standard output is shared with the shell or the container).
///
/// After a failed write what waits is dropped and counted, and the next line starts on a line of its own. REQUIRES:
/// SIGPIPE is ignored, or blocked in the thread that writes. One thread.
class LogOutput {
 public:
    static constexpr std::size_t capacity = 256 * 1024;  ///< bytes that wait for a slow output; later lines are dropped
    static constexpr std::size_t big_write = 64 * 1024;  ///< `add` writes when that many bytes wait

    /// `fd` is closed at the end, unless it is 0, 1 or 2.
    explicit LogOutput(io::UniqueFd fd);
    LogOutput(const LogOutput&) = delete;
    LogOutput& operator=(const LogOutput&) = delete;
    ~LogOutput();

    /// Appends to files, makes them with mode 0640; -1 and errno when that fails.
    static io::UniqueFd open(const std::string& path);

    /// `line` with its '\n'.
    void add(std::string_view line);
    /// Writes as much as the output takes now.
    void flush();
    /// Lines wait for the output to take more.
    bool pending() const { return !buffer_.empty(); }
    /// Counts what waits as lost.
    void give_up();

    int fd() const { return fd_.get(); }
    bool is_terminal() const { return terminal_; }
    /// It is the stream that systemd connected to the journal (JOURNAL_STREAM): lines get a priority and no time.
    bool is_journal() const { return journal_; }
    /// Both write to the same file, pipe or terminal.
    bool same_place(const LogOutput& other) const { return device_ == other.device_ && inode_ == other.inode_; }
    std::uint64_t dropped() const { return dropped_; }
    /// errno of the last write if it failed, else 0.
    int error() const { return error_; }

 private:
    long write_some(std::string_view bytes);
    void fail(int error);

    io::UniqueFd fd_;
    std::string buffer_;
    std::size_t lines_ = 0;  ///< in the buffer
    bool mid_line_ = false;  ///< the last byte written was not an end of line
    bool broken_ = false;    ///< ... and the rest of that line was dropped
    bool full_ = false;      ///< the output took nothing more at the last try
    bool terminal_ = false, journal_ = false, socket_ = false, regular_ = false;
    bool nowait_ = true;  ///< the kernel knows RWF_NOWAIT for this descriptor
    std::uint64_t device_ = 0, inode_ = 0, dropped_ = 0;
    int error_ = 0;
};

}  // namespace edgeproxy::admin
