// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "proxy/sources.hpp"
#include "tls/io/clock.hpp"

namespace edgeproxy::proxy {

/// How often each source may do something: so many times a second on average, twice as many at once.
///
/// A table of fixed size that all reactors share: small sets of atomic words, no lock and no allocation after the first
/// `set_rate`. A source that finds its set full takes the place of the one that used it least, which then begins anew;
/// so it may be too lax under an attack from very many addresses, and is never too strict. Sources are told apart by a
/// keyed hash of 63 bits, which an attacker cannot aim.
class RateTable {
 public:
    static constexpr std::size_t ways = 8;  ///< places of a set

    /// `places`: a power of two, at least `ways`. 16 bytes each, allocated when a rate is first set.
    explicit RateTable(std::size_t places);
    ~RateTable();
    RateTable(const RateTable&) = delete;
    RateTable& operator=(const RateTable&) = delete;

    /// Zero = no limit. The control thread.
    void set_rate(unsigned per_second);
    bool limits() const { return interval_.load(std::memory_order_relaxed) > 0; }

    /// Whether the source may do it once more now; counts it if so. Any thread.
    bool take(const SourceKey& source, io::TimePoint now);

 private:
    struct Place {
        std::atomic<std::uint64_t> source{0};  ///< 0 = free
        std::atomic<std::int64_t> full{0};     ///< when its bucket is full again, nanoseconds of the clock
    };
    Place& place_of(std::uint64_t source, Place* set);

    const std::size_t places_count_;
    const std::uint64_t secret_[2];
    std::unique_ptr<Place[]> owned_;
    std::atomic<Place*> places_{nullptr};
    std::atomic<std::int64_t> interval_{0};  ///< nanoseconds between two, zero = no limit
};

}  // namespace edgeproxy::proxy
