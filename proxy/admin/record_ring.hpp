// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace edgeproxy::admin {

/// A bounded ring of byte records of different length between one writing and one reading thread. Each record lies in
/// one piece; a full ring refuses.
///
/// capacity  bytes, rounded up to a power of two
/// thread    `reserve`, `commit`, `crowded`: the writer; `front`, `pop`: the reader; `empty`: any
class RecordRing {
 public:
    static constexpr std::size_t alignment = 16;  ///< of what `reserve` gives

    explicit RecordRing(std::size_t capacity);
    RecordRing(const RecordRing&) = delete;
    RecordRing& operator=(const RecordRing&) = delete;
    ~RecordRing();

    /// Room for a record of `size` bytes, or null when there is none now. Nobody sees it before `commit`.
    void* reserve(std::size_t size);
    /// Publishes what `reserve` gave last. Sequentially consistent, so that a flag read after it is not read too early.
    void commit();
    /// More than half of it waits for the reader.
    bool crowded() {
        if (reserved_ - known_head_ <= capacity() / 2) return false;
        known_head_ = head_.load(std::memory_order_acquire);
        return reserved_ - known_head_ > capacity() / 2;
    }
    std::size_t capacity() const { return mask_ + 1; }

    /// The oldest record, or null. Valid until `pop`.
    const void* front();
    void pop();
    /// Sequentially consistent, for the reader that wants to sleep.
    bool empty() const { return head_.load(std::memory_order_relaxed) == tail_.load(std::memory_order_seq_cst); }

 private:
    struct Header;
    const std::size_t mask_;
    char* const bytes_;
    // writer's
    alignas(64) std::size_t reserved_ = 0;  ///< end of the last record
    std::size_t known_head_ = 0;
    std::atomic<std::size_t> tail_{0};
    // reader's
    alignas(64) std::atomic<std::size_t> head_{0};
};

}  // namespace edgeproxy::admin
