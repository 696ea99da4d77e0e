// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace edgeproxy::config {

/// A bounded queue between threads: many may push, one may pop, nobody waits.
///
/// Each cell carries a turn number: a producer owns the cell whose turn equals its ticket, the consumer the one a step
/// later. So a push is one compare-and-swap and a move, and a slow producer delays only the cells behind its own.
///
/// T         movable and default constructible
/// capacity  rounded up to a power of two; a full ring refuses, it never grows and never overwrites
/// thread    try_push: any; try_pop: one at a time. The ring must outlive both.
template <class T>
class Ring {
 public:
    explicit Ring(std::size_t capacity)
        : mask_(std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity) - 1), cells_(new Cell[mask_ + 1]) {
        for (std::size_t i = 0; i <= mask_; ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
    }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    std::size_t capacity() const { return mask_ + 1; }

    /// False when full: `value` is untouched then.
    bool try_push(T&& value) {
        std::size_t ticket = tail_.load(std::memory_order_relaxed);
        for (;;) {
            Cell& cell = cells_[ticket & mask_];
            const std::size_t turn = cell.turn.load(std::memory_order_acquire);
            if (turn == ticket) {
                if (!tail_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_relaxed)) continue;
                cell.value = std::move(value);
                cell.turn.store(ticket + 1, std::memory_order_release);
                return true;
            }
            // The cell still holds what was pushed a whole round ago.
            if (static_cast<std::ptrdiff_t>(turn - ticket) < 0) return false;
            ticket = tail_.load(std::memory_order_relaxed);
        }
    }

    /// Empty when there is nothing, or when the next one is still being moved in.
    std::optional<T> try_pop() {
        Cell& cell = cells_[head_ & mask_];
        if (cell.turn.load(std::memory_order_acquire) != head_ + 1) return std::nullopt;
        std::optional<T> taken{std::move(cell.value)};
        cell.value = T{};
        cell.turn.store(head_ + mask_ + 1, std::memory_order_release);
        ++head_;
        return taken;
    }

 private:
    struct Cell {
        std::atomic<std::size_t> turn{0};
        T value{};
    };
    static constexpr std::size_t cache_line = 64;

    const std::size_t mask_;
    const std::unique_ptr<Cell[]> cells_;
    alignas(cache_line) std::atomic<std::size_t> tail_{0};
    alignas(cache_line) std::size_t head_ = 0;
};

}  // namespace edgeproxy::config
