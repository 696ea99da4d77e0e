// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#include "config/config.hpp"
#include "proxy/http/message.hpp"
#include "upstream/error.hpp"

namespace edgeproxy::proxy {

/// What is known about an attempt that brought no byte of an answer, or only some.
struct FailedAttempt {
    upstream::errc error{};
    http::Method method = http::Method::get;
    bool answer_begun = false;     ///< a byte of an answer came
    bool client_answered = false;  ///< something of it went on to the client
    bool whole_retained = true;    ///< everything that was sent can be sent again
    bool sent_at_once = false;     ///< head and body left in one send ...
    std::size_t sent_bytes = 0;    ///< ... of so many bytes
    bool peer_reset = false;       ///< the connection ended by a reset
    bool unix_socket = false;
    config::Kind kind = config::Kind::generic;  ///< of a worker; generic for an external endpoint
    bool managed = false;                       ///< the endpoint is a worker of ours
    bool worker_died = false;                   ///< ... and it is dead
    bool worker_hung = false;                   ///< ... and it was ended since it hung
    bool moved = false;                         ///< the worker does not read: we ended the attempt, to go elsewhere
    unsigned attempts = 1;                      ///< made so far, this one included
    unsigned replays = 0;                       ///< of these, how many a worker's death caused
    unsigned deaths = 0;                        ///< of the replays, after how many the worker had read it: no reset
    unsigned hangs = 0;                         ///< ... before this one, at workers that were ended since they hung
    unsigned allowed_retries = 1;               ///< `retries.attempts`
    bool held_too_long = false;                 ///< no place has taken a connection for `hold`
};

enum class Verdict : unsigned char {
    give_up,
    retry,  ///< costs an attempt
    replay  ///< a worker's death caused it: costs nothing, the hold deadline bounds it
};

/// A request of this many bytes or fewer that left in one send is read by the known servers in one read or not at all.
inline constexpr std::size_t one_read = 4096;
/// Deaths of workers that one request may outlive ...
inline constexpr unsigned most_replays = 5;
/// ... and of those that may have read it: a request that kills whoever reads it must not go through all of them.
inline constexpr unsigned most_deaths = 2;
/// Attempts of one request, whatever they cost.
inline constexpr unsigned most_attempts = 64;

/// May this request be sent again, elsewhere? The one place that decides (RFC 9110, section 9.2.2).
///
/// Nothing written: always, at workers for `hold`. Written, no byte of an answer: if the method is idempotent and
/// everything can be sent again, after a stale connection or a worker's death. Not idempotent: only when it is proven
/// that the worker never read it: a unix socket was reset with the whole request, at most `one_read` bytes sent at
/// once, unread. Timeouts, and answers that have begun: never. A living worker that does not read may read later, so
/// only what is idempotent leaves it. A request that was read by a worker that hung may be what made it hang: one more
/// worker, and no other. One whose answer had begun was executed: again only if that changes nothing (a safe method).
Verdict decide(const FailedAttempt& attempt);

}  // namespace edgeproxy::proxy
