// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/admin/exchange_record.hpp"
#include "proxy/admin/record_ring.hpp"

namespace edgeproxy::admin {

/// The hot side of the access log: copies what a line needs into the reactor's own ring. No malloc, no lock, no format;
/// a full ring drops the record and counts it. The log writer's thread takes it from there.
///
/// thread  `write`: the reactor of that lane; `drain`, `sleep`: the writer; `on_records`: before the lanes start
class AccessLog {
 public:
    static constexpr std::size_t ring_bytes = 2 * 1024 * 1024;  ///< per lane; about 3000 records
    static constexpr std::size_t longest_text = 2048;  ///< path, query, referer, user agent; cut and marked `...`
    static constexpr std::size_t longest_name = 256;   ///< host, endpoint, ids, addresses, method

    explicit AccessLog(unsigned lanes, std::size_t bytes_per_lane = ring_bytes);

    /// Called by a reactor when a record came while the writer slept, or its ring is half full: the place to wake the
    /// writer. Must not block.
    void on_records(std::function<void()> wake) { wake_ = std::move(wake); }

    void write(unsigned lane, const ExchangeRecord& record);

    /// Hands over what waits, lane by lane, at most a ring full of each, and tells how many that were. The record and
    /// its views are valid during the call of `take` only; its names are still the static ones.
    std::size_t drain(const std::function<void(const ExchangeRecord&)>& take);
    /// The writer goes to sleep: true if nothing waits, and then the next record calls `on_records`.
    bool sleep();

    /// Records lost because a ring was full.
    std::uint64_t dropped() const;

 private:
    struct alignas(64) Lane {
        explicit Lane(std::size_t bytes) : ring(bytes) {}
        RecordRing ring;
        std::atomic<bool> asleep{true};      ///< the writer wants to be woken
        std::atomic<std::uint64_t> lost{0};  ///< written by the lane
        bool urged = false;                  ///< the writer was woken because of a half-full ring; lane's
    };
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::function<void()> wake_;
};

}  // namespace edgeproxy::admin
