// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "config/config.hpp"
#include "tls/io/clock.hpp"
#include "upstream/waiting_line.hpp"

namespace edgeproxy::upstream {

/// Bytes that this end of a connection has sent and the other process has not read. 0 on anything but a unix socket,
/// where the kernel cannot tell.
std::size_t unread_bytes(int fd);

/// A signal (STOP, TSTP) holds the process. False when it cannot be told.
bool is_stopped(std::int32_t pid);

/// Whether one worker reads what it is sent. Pure; asked at each look.
///
///   reads --unread for `suspect_after`--> suspect --unread for `kill_after`--> hung (said again each `kill_after`)
///     ^------------- it read something ------'
///
/// How long a request takes says nothing: whoever reads is busy at most. A worker with as many requests as it may have
/// is busy too, unless it has read none of them.
class HangWatch {
 public:
    enum class Verdict : std::uint8_t { same, suspect, hung };
    struct Look {
        unsigned unread = 0;  ///< requests sent `suspect_after` ago or longer, of which nothing was read
        std::uint32_t in_flight = 0, limit = 0;
    };
    /// Looks further apart than this are our own delay, which is not the worker's.
    static constexpr io::Duration longest_step = std::chrono::seconds(1);

    Verdict look(const Look& look, io::TimePoint now, const config::Hang& policy);
    /// It reads. True if it was suspect.
    bool reads();
    bool suspect() const { return suspect_; }

 private:
    bool suspect_ = false;
    io::TimePoint said_{};  // suspect: when `hung` is due (again)
    io::TimePoint last_{};
};

/// What the reactors of a pool found in one round of looking. Every reactor answers once; whoever has not answered when
/// the next round begins found nothing.
class UnreadCensus {
 public:
    /// Begins a round; what was counted before is gone. Returns its number.
    std::uint64_t begin();
    void count(std::uint64_t round, const std::vector<EndpointId>& unread);
    /// Found in another way, for this round.
    void count_one(EndpointId id) { ++found_[id]; }
    unsigned unread(EndpointId id) const;

 private:
    std::uint64_t round_ = 0;
    std::map<EndpointId, unsigned> found_;
};

}  // namespace edgeproxy::upstream
