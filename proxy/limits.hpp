// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "config/config.hpp"
#include "config/log.hpp"
#include "proxy/rate_table.hpp"
#include "proxy/sources.hpp"

namespace edgeproxy::proxy {

/// What the process may hold, shared by all lanes: they count here when a connection begins and ends, and read what the
/// control thread has set. Nothing in it is touched by a plain request.
class Limits {
 public:
    static constexpr std::size_t request_places = 128 * 1024;
    /// Descriptors that clients never get: metrics, logs, probes, certificates, control. A quarter of a small limit.
    static constexpr int reserve = 64;
    /// At the limit an idle connection is told to go for each newcomer; so many may overlap.
    static constexpr std::size_t overlap = 64;

    /// `log` outlives it.
    explicit Limits(config::Log& log) : log_(log) {}
    Limits(const Limits&) = delete;
    Limits& operator=(const Limits&) = delete;

    /// Adopts a configuration. The control thread.
    void configure(const config::Config& config);
    /// Looks at the limit of open files, which may be lowered (or raised) while we run. The control thread, each tick.
    void look_at_files();

    std::size_t open() const { return open_.load(std::memory_order_relaxed); }
    std::size_t most() const { return most_.load(std::memory_order_relaxed); }
    /// Descriptors from this number on are not for clients; those from `endpoint_ceiling` on not for endpoints either.
    int client_ceiling() const { return client_ceiling_.load(std::memory_order_relaxed); }
    int endpoint_ceiling() const { return endpoint_ceiling_.load(std::memory_order_relaxed); }

    RateTable& requests() { return requests_; }

    /// A lane is full and has nobody idle: the others let one go each at their next tick. Any thread.
    void want_room() { wanted_.fetch_add(1, std::memory_order_relaxed); }
    /// How many times `want_room` was called since the start.
    unsigned wanted() const { return wanted_.load(std::memory_order_relaxed); }

    /// Says it in the log, at most every 10 s. Any thread.
    void tell_descriptors_gone();

    /// One connection's place among all, and among those of its source, for its life. Movable.
    class Seat {
     public:
        Seat() = default;
        explicit Seat(Limits& limits) : limits_(&limits) { limits.open_.fetch_add(1, std::memory_order_relaxed); }
        Seat(Seat&& other) noexcept
            : limits_(std::exchange(other.limits_, nullptr)),
              source_(std::exchange(other.source_, std::nullopt)),
              streams_(std::exchange(other.streams_, nullptr)) {}
        Seat& operator=(Seat&& other) noexcept {
            if (this != &other) {
                leave();
                limits_ = std::exchange(other.limits_, nullptr);
                source_ = std::exchange(other.source_, std::nullopt);
                streams_ = std::exchange(other.streams_, nullptr);
            }
            return *this;
        }
        ~Seat() { leave(); }

        /// Counts for this source from now on. False: the source has as many as it may.
        bool belongs_to(const SourceKey& source);

        /// One more stream of its source, unless that has as many as it may. A connection without a source has no
        /// limit. Each one that began ends.
        bool stream_begins() {
            if (streams_ == nullptr) return true;
            const unsigned most = limits_->streams_per_source_.load(std::memory_order_relaxed);
            if (streams_->fetch_add(1, std::memory_order_relaxed) < most) return true;
            streams_->fetch_sub(1, std::memory_order_relaxed);
            return false;
        }
        void stream_ends() {
            if (streams_ != nullptr) streams_->fetch_sub(1, std::memory_order_relaxed);
        }

     private:
        void leave();
        Limits* limits_ = nullptr;
        std::optional<SourceKey> source_;
        Sources::Streams* streams_ = nullptr;  ///< of `source_`
    };

 private:
    config::Log& log_;
    std::atomic<std::size_t> open_{0}, most_{~std::size_t{0}};
    static constexpr unsigned no_limit = ~0u;
    std::atomic<unsigned> per_source_{no_limit}, streams_per_source_{no_limit}, wanted_{0};
    std::atomic<int> client_ceiling_{1 << 30}, endpoint_ceiling_{1 << 30};
    std::atomic<std::int64_t> told_{0};
    std::size_t configured_ = ~std::size_t{0};
    std::uint64_t files_ = 0;  ///< the limit when the configuration was adopted
    Sources sources_;
    RateTable requests_{request_places};
};

}  // namespace edgeproxy::proxy
