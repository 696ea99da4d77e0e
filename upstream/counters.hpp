// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "upstream/error.hpp"

namespace edgeproxy::upstream {

/// A count with one writing thread and any number of readers. Only grows.
class Cell {
 public:
    void add(std::uint64_t by = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<std::uint64_t> value_{0};
};

/// Upper bounds in nanoseconds of what the histograms here count; above the last comes one more bucket.
inline constexpr std::array<std::int64_t, 13> duration_bounds{
    1'000'000,   2'500'000,   5'000'000,     10'000'000,    25'000'000,    50'000'000,    100'000'000,
    250'000'000, 500'000'000, 1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};
inline constexpr std::array<std::int64_t, 9> overhead_bounds{50'000,    100'000,   250'000,    500'000,   1'000'000,
                                                             2'500'000, 5'000'000, 10'000'000, 50'000'000};

/// A histogram with one writing thread: `buckets[i]` counts what is at most `Bounds[i]` and above the bound before; sum
/// in nanoseconds.
template <auto& Bounds>
struct Histogram {
    static constexpr auto& bounds = Bounds;

    std::array<Cell, Bounds.size() + 1> buckets;
    Cell sum;

    void observe(std::chrono::nanoseconds length) {
        const std::int64_t value = std::max<std::int64_t>(length.count(), 0);
        std::size_t i = 0;
        while (i < Bounds.size() && value > Bounds[i]) ++i;
        buckets[i].add();
        sum.add(static_cast<std::uint64_t>(value));
    }
};
using DurationHistogram = Histogram<duration_bounds>;
using OverheadHistogram = Histogram<overhead_bounds>;

/// What one thread counted about one endpoint name (a slot keeps its name over restarts). Written by that thread only.
struct alignas(64) EndpointCells {
    std::string_view name;          ///< of the endpoint: lives as long as these, so longer than the endpoint itself
    std::array<Cell, 6> responses;  ///< by class: [1] 1xx final (101) ... [5] 5xx; [0] anything else
    std::array<Cell, errc_count> errors;  ///< by errc
    Cell connects;                        ///< connections made
    Cell reused;                          ///< requests that went over a kept-alive connection
    Cell tunnels_opened;                  ///< requests that became tunnels
    Cell probes_passed, probes_failed;    ///< active health
    Cell connections_closed;              ///< of those made; made minus closed are open
    DurationHistogram response_duration;  ///< request sent to response head

    /// `status` 100..599 of the final answer.
    void count_response(unsigned status) { responses[status >= 100 && status < 600 ? status / 100 : 0].add(); }
    void count_error(errc e) { errors[static_cast<std::size_t>(e)].add(); }
};

/// Why an exchange went to an endpoint again; the label of the retry counter.
enum class RetryReason : unsigned char { connect_failure, stale_connection, worker_gone, worker_suspect };
inline constexpr std::size_t retry_reasons = 4;
/// connect_failure, stale_connection, worker_gone, worker_suspect.
constexpr const char* word(RetryReason reason) {
    constexpr std::array<const char*, retry_reasons> words{"connect_failure", "stale_connection", "worker_gone",
                                                           "worker_suspect"};
    return words[static_cast<std::size_t>(reason)];
}

/// What one thread counted about one pool. Written by that thread only.
struct alignas(64) PoolCells {
    Cell admitted_at_once;                ///< requests that found a place without waiting
    Cell waited;                          ///< requests that entered the queue (held or queued)
    std::array<Cell, errc_count> errors;  ///< by errc: why no endpoint was given
    std::array<Cell, retry_reasons> retries;
    DurationHistogram queue_duration;    ///< of those that waited, whatever came of it
    OverheadHistogram connect_duration;  ///< of connects that worked

    void count_retry(RetryReason reason) { retries[static_cast<std::size_t>(reason)].add(); }
};

}  // namespace edgeproxy::upstream
