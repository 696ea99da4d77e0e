// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "upstream/counters.hpp"

namespace edgeproxy::admin {

/// Counters by a small key, found without allocating once a key has been seen: a chain of chunks that only grows, the
/// key of the last call remembered. At most `most` keys; later ones share `beyond()`.
///
/// thread  `at`: the owner; `each`, `beyond`: any
template <class Key, std::size_t ChunkSize, std::size_t most>
class KeyedCells {
    struct Chunk {
        std::atomic<std::uint32_t> used{0};  ///< keys below it are written and never change
        std::array<Key, ChunkSize> keys{};
        std::array<upstream::Cell, ChunkSize> counts{};
        std::atomic<Chunk*> next{nullptr};
    };

 public:
    KeyedCells() = default;
    KeyedCells(const KeyedCells&) = delete;
    KeyedCells& operator=(const KeyedCells&) = delete;
    ~KeyedCells() {
        for (Chunk* chunk = first_.next.load(std::memory_order_relaxed); chunk != nullptr;) {
            const std::unique_ptr<Chunk> dead{chunk};
            chunk = dead->next.load(std::memory_order_relaxed);
        }
    }

    upstream::Cell& at(const Key& key) {
        if (last_ != nullptr && last_key_ == key) return *last_;
        last_ = &find_or_add(key);
        last_key_ = key;
        return *last_;
    }

    /// Calls `see(key, count)` for every key seen so far.
    template <class See>
    void each(const See& see) const {
        for (const Chunk* chunk = &first_; chunk != nullptr; chunk = chunk->next.load(std::memory_order_acquire)) {
            const std::uint32_t used = chunk->used.load(std::memory_order_acquire);
            for (std::uint32_t i = 0; i < used; ++i) see(chunk->keys[i], chunk->counts[i].value());
        }
    }
    /// What was counted for keys that came when `most` were known already.
    std::uint64_t beyond() const { return beyond_.value(); }

 private:
    upstream::Cell& find_or_add(const Key& key) {
        Chunk* chunk = &first_;
        for (;;) {
            const std::uint32_t used = chunk->used.load(std::memory_order_relaxed);
            for (std::uint32_t i = 0; i < used; ++i) {
                if (chunk->keys[i] == key) return chunk->counts[i];
            }
            Chunk* const next = chunk->next.load(std::memory_order_relaxed);
            if (next == nullptr) break;
            chunk = next;
        }
        if (known_ == most) return beyond_;
        if (chunk->used.load(std::memory_order_relaxed) == ChunkSize) {
            auto* const fresh = new Chunk;
            chunk->next.store(fresh, std::memory_order_release);
            chunk = fresh;
        }
        const std::uint32_t place = chunk->used.load(std::memory_order_relaxed);
        chunk->keys[place] = key;
        chunk->used.store(place + 1, std::memory_order_release);
        ++known_;
        return chunk->counts[place];
    }

    Key last_key_{};
    upstream::Cell* last_ = nullptr;
    std::size_t known_ = 0;
    upstream::Cell beyond_;
    Chunk first_;
};

/// Things by index that come into being when their owner first asks for them, and stay.
///
/// thread  `at`: the owner; `find`: any
template <class T, std::size_t capacity>
class ByIndex {
 public:
    ByIndex() = default;
    ByIndex(const ByIndex&) = delete;
    ByIndex& operator=(const ByIndex&) = delete;
    ~ByIndex() {
        for (auto& place : places_) delete place.load(std::memory_order_relaxed);
    }

    /// An index beyond `capacity` is index 0.
    T& at(std::size_t index) {
        std::atomic<T*>& place = places_[index < capacity ? index : 0];
        T* found = place.load(std::memory_order_relaxed);
        if (found == nullptr) {
            found = new T;
            place.store(found, std::memory_order_release);
        }
        return *found;
    }
    /// Null when it was never asked for.
    const T* find(std::size_t index) const {
        return index < capacity ? places_[index].load(std::memory_order_acquire) : nullptr;
    }

 private:
    std::array<std::atomic<T*>, capacity> places_{};
};

}  // namespace edgeproxy::admin
