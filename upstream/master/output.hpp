// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// Where the master writes its log and its workers' lines. Never waits for a reader that does not read: what does not
/// fit is kept up to `capacity`, then dropped by whole writes; what cannot be written (a full disk) is dropped at once.
/// The lines are counted.
///
/// The descriptor itself is not set non-blocking, since it is shared with the shell or the container: each write of at
/// most `piece` bytes is preceded by the question whether it would block.
class Output {
 public:
    static constexpr std::size_t capacity = 256 * 1024;
    static constexpr std::size_t piece = 4096;  ///< what a pipe that is writable takes without blocking

    explicit Output(io::UniqueFd fd) : fd_(std::move(fd)) {}

    void write(std::string_view text);
    /// Writes what waits as far as it goes. False while something still waits: try again some milliseconds later.
    bool flush();
    /// At the end: the same, and waits up to a second for a reader that is merely slow.
    void finish();
    /// Another file from now on (after a log rotation).
    void reopen(io::UniqueFd fd);
    /// `automatic`: for people where it is a terminal.
    bool wants_json(config::LogFormat format) const;
    /// What has not been written yet.
    const std::string& waiting() const { return waiting_; }
    std::uint64_t dropped() const { return dropped_; }  ///< lines
    /// Lines that were dropped since this was asked last; zero until it takes lines again.
    std::uint64_t take_lost();

 private:
    void drop(std::string_view text);

    io::UniqueFd fd_;
    std::string waiting_;
    std::uint64_t dropped_ = 0, told_ = 0;
    bool takes_again_ = false;
};

}  // namespace edgeproxy::master
