// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/record_ring.hpp"

#include <bit>
#include <new>

namespace edgeproxy::admin {

namespace {

constexpr std::size_t smallest = 4096;

std::size_t round_up(std::size_t size) {
    return (size + RecordRing::alignment - 1) & ~(RecordRing::alignment - 1);
}

}  // namespace

/// Lies before each record. A header without record fills the ring up to its end.
struct RecordRing::Header {
    std::size_t whole = 0;  ///< bytes of header and record, a multiple of `alignment`
    bool filler = false;
};

RecordRing::RecordRing(std::size_t capacity)
    : mask_(std::bit_ceil(capacity < smallest ? smallest : capacity) - 1),
      bytes_(static_cast<char*>(::operator new (mask_ + 1, std::align_val_t{alignment}))) {
    static_assert(sizeof(Header) <= alignment);
}

RecordRing::~RecordRing() {
    ::operator delete (bytes_, std::align_val_t{alignment});
}

void* RecordRing::reserve(std::size_t size) {
    const std::size_t whole = alignment + round_up(size);
    const std::size_t start = tail_.load(std::memory_order_relaxed);
    const std::size_t to_end = capacity() - (start & mask_);
    const std::size_t filler = to_end < whole ? to_end : 0;
    if (whole > capacity()) return nullptr;
    if (start + filler + whole - known_head_ > capacity()) {
        known_head_ = head_.load(std::memory_order_acquire);
        if (start + filler + whole - known_head_ > capacity()) return nullptr;
    }
    if (filler != 0) new (bytes_ + (start & mask_)) Header{filler, true};
    char* const at = bytes_ + ((start + filler) & mask_);
    new (at) Header{whole, false};
    reserved_ = start + filler + whole;
    return at + alignment;
}

void RecordRing::commit() {
    tail_.store(reserved_, std::memory_order_seq_cst);
}

const void* RecordRing::front() {
    std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t tail = tail_.load(std::memory_order_acquire);
    while (head != tail) {
        const auto* header = std::launder(reinterpret_cast<const Header*>(bytes_ + (head & mask_)));
        if (!header->filler) return bytes_ + (head & mask_) + alignment;
        head += header->whole;
        head_.store(head, std::memory_order_release);
    }
    return nullptr;
}

void RecordRing::pop() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const auto* header = std::launder(reinterpret_cast<const Header*>(bytes_ + (head & mask_)));
    head_.store(head + header->whole, std::memory_order_release);
}

}  // namespace edgeproxy::admin
