// SPDX-License-Identifier: Apache-2.0
#include "upstream/waiting_line.hpp"

#include <cassert>
#include <utility>

namespace edgeproxy::upstream {

void WaitingLine::List::append(Waiter& waiter) {
    waiter.prev = last;
    waiter.next = nullptr;
    (last ? last->next : first) = &waiter;
    last = &waiter;
}

void WaitingLine::List::remove(Waiter& waiter) {
    (waiter.prev ? waiter.prev->next : first) = waiter.next;
    (waiter.next ? waiter.next->prev : last) = waiter.prev;
    waiter.next = waiter.prev = nullptr;
}

WaitingLine::WaitingLine(std::size_t size, std::size_t homes, Take take, Tell tell)
    : size_(size), homes_(homes), take_(std::move(take)), tell_(std::move(tell)) {}

WaitingLine::~WaitingLine() {
    assert(waiting_.first == nullptr);
}

bool WaitingLine::join(Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    assert(waiter.state == Waiter::State::idle && waiter.home < homes_.size());
    if (length_.load(std::memory_order_relaxed) >= size_) return false;
    waiter.state = Waiter::State::waiting;
    waiter.endpoint = nullptr;
    waiting_.append(waiter);
    length_.fetch_add(1, std::memory_order_seq_cst);
    return true;
}

bool WaitingLine::pump(std::size_t caller) {
    const std::lock_guard lock(mutex_);
    while (Waiter* const waiter = waiting_.first) {
        Endpoint* const endpoint = take_(*waiter);
        if (endpoint == nullptr) break;
        waiter->endpoint = endpoint;
        settle(*waiter, Waiter::State::granted, caller);
    }
    return caller != nobody && homes_[caller].settled.first != nullptr;
}

void WaitingLine::fail_all(errc error) {
    const std::lock_guard lock(mutex_);
    while (Waiter* const waiter = waiting_.first) {
        waiter->error = error;
        settle(*waiter, Waiter::State::failed, nobody);
    }
}

void WaitingLine::settle(Waiter& waiter, Waiter::State state, std::size_t caller) {
    waiting_.remove(waiter);
    length_.fetch_sub(1, std::memory_order_seq_cst);
    waiter.state = state;
    Home& home = homes_[waiter.home];
    home.settled.append(waiter);
    // The caller collects by itself; another home is told, unless word is under way.
    if (waiter.home != caller && !std::exchange(home.told, true)) tell_(waiter.home);
}

void WaitingLine::hear(std::size_t home) {
    const std::lock_guard lock(mutex_);
    homes_[home].told = false;
}

Waiter* WaitingLine::collect(std::size_t home) {
    const std::lock_guard lock(mutex_);
    Waiter* const waiter = homes_[home].settled.first;
    if (waiter == nullptr) return nullptr;
    homes_[home].settled.remove(*waiter);
    waiter->state = Waiter::State::idle;
    return waiter;
}

bool WaitingLine::leave(Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    const auto state = std::exchange(waiter.state, Waiter::State::idle);
    if (state == Waiter::State::idle) return false;
    if (state == Waiter::State::waiting) {
        waiting_.remove(waiter);
        length_.fetch_sub(1, std::memory_order_seq_cst);
        return false;
    }
    homes_[waiter.home].settled.remove(waiter);
    return true;
}

void WaitingLine::set_size(std::size_t size) {
    const std::lock_guard lock(mutex_);
    size_ = size;
}

}  // namespace edgeproxy::upstream
