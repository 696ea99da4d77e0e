// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>

namespace edgeproxy::upstream {

/// What an endpoint is to the balancer. Only `ready` takes new requests.
enum class EndpointState : std::uint8_t {
    ready = 0,  ///< takes requests
    starting,   ///< exists, has not answered its first probe
    suspect,    ///< fails probes, refused a connection or hangs: finishes its own, takes no new ones
    draining,   ///< leaves: finishes its own, takes no new ones
    down,       ///< dead or removed
};
inline constexpr unsigned endpoint_states = 5;

/// The word of API, page and metrics: starting, ready, unhealthy, draining, down.
const char* word(EndpointState state) noexcept;

/// How many requests and tunnels one endpoint has, how many it may have, and whether it takes new ones: one atomic
/// word.
///
/// Because count, limit and state are one word, admission is a compare-and-swap that can neither pass the limit nor
/// slip past a drain, and exactly one release sees the endpoint become empty. Every operation is sequentially
/// consistent: `release`, then "does anybody wait?", pairs with "I wait", then `try_enter` (see WaitingLine), so one of
/// the two always sees the other.
///
///   bits 0..19 requests in flight | 20..39 limit | 40..58 tunnels | 59 cold | 60..62 state | 63 ejected
///
/// Any thread. Cost without contention: one CAS in, one add out.
class Gate {
 public:
    static constexpr std::uint32_t most = (1u << 20) - 1;  ///< the highest count and limit

    /// What the word said at one moment.
    class Reading {
     public:
        explicit Reading(std::uint64_t word) : word_(word) {}
        std::uint32_t in_flight() const { return static_cast<std::uint32_t>(word_ & most); }
        std::uint32_t limit() const { return static_cast<std::uint32_t>(word_ >> limit_shift & most); }
        std::uint32_t tunnels() const { return static_cast<std::uint32_t>(word_ >> tunnel_shift & most_tunnels); }
        EndpointState state() const { return static_cast<EndpointState>(word_ >> state_shift & 7); }
        /// In its slow start: SlowStart says how far.
        bool cold() const { return (word_ & cold_bit) != 0; }
        bool ejected() const { return (word_ & ejected_bit) != 0; }
        /// Ready and not ejected: takes requests as soon as there is room.
        bool open() const { return word_ >> state_shift == 0; }
        bool has_room() const { return open() && in_flight() < limit(); }
        /// No request and no tunnel.
        bool empty() const { return (word_ & (most | tunnels_mask)) == 0; }
        /// Takes no more requests, ever: its emptiness is worth a message.
        bool leaving() const { return state() >= EndpointState::draining; }

     private:
        std::uint64_t word_;
    };

    /// Starts `starting`, empty. `limit` 0 means none (`most`).
    explicit Gate(std::uint32_t limit)
        : word_(bits(EndpointState::starting) | std::uint64_t{clamp(limit)} << limit_shift) {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    /// Takes a place if the endpoint is open and below its limit. True: give it back by `release` or `to_tunnel`.
    bool try_enter() {
        auto word = word_.load(std::memory_order_seq_cst);
        while (Reading{word}.has_room()) {
            if (word_.compare_exchange_weak(word, word + 1, std::memory_order_seq_cst)) return true;
        }
        return false;
    }

    /// Gives a place back. The reading is of after: when `leaving() && empty()`, the caller is the one who emptied it.
    Reading release() { return Reading{word_.fetch_sub(1, std::memory_order_seq_cst) - 1}; }

    /// The request became a tunnel, which does not count against the limit.
    Reading to_tunnel() { return Reading{word_.fetch_add(one_tunnel - 1, std::memory_order_seq_cst) + one_tunnel - 1}; }
    Reading release_tunnel() { return Reading{word_.fetch_sub(one_tunnel, std::memory_order_seq_cst) - one_tunnel}; }

    /// Sets the state. The reading is of after: a leaving endpoint that is already empty will make no release.
    Reading set_state(EndpointState state);
    /// ready -> suspect, by whoever met a refusal. False if it was not ready.
    bool suspect();
    void set_ejected(bool ejected) { set(ejected_bit, ejected); }
    void set_cold(bool cold) { set(cold_bit, cold); }
    /// 0 means none. Lowering below what is in flight lets those finish.
    void set_limit(std::uint32_t limit);

    Reading read() const { return Reading{word_.load(std::memory_order_seq_cst)}; }
    /// For choosing only: may be a moment old.
    Reading glance() const { return Reading{word_.load(std::memory_order_relaxed)}; }

 private:
    static constexpr unsigned limit_shift = 20, tunnel_shift = 40, state_shift = 60;
    static constexpr std::uint64_t one_tunnel = std::uint64_t{1} << tunnel_shift;
    static constexpr std::uint32_t most_tunnels = (1u << 19) - 1;
    static constexpr std::uint64_t tunnels_mask = std::uint64_t{most_tunnels} << tunnel_shift;
    static constexpr std::uint64_t cold_bit = std::uint64_t{1} << 59;
    static constexpr std::uint64_t ejected_bit = std::uint64_t{1} << 63;
    static constexpr std::uint64_t bits(EndpointState s) { return static_cast<std::uint64_t>(s) << state_shift; }
    static constexpr std::uint32_t clamp(std::uint32_t limit) { return limit == 0 || limit > most ? most : limit; }

    void set(std::uint64_t bit, bool on);

    std::atomic<std::uint64_t> word_;
};

}  // namespace edgeproxy::upstream
