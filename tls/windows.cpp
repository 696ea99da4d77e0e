// SPDX-License-Identifier: Apache-2.0
#include "tls/windows.hpp"

#include <cassert>
#include <cstring>
#include <utility>

namespace edgeproxy::tls {
namespace {

Windows::Batch block(std::size_t size) {
    return std::make_unique_for_overwrite<char[]>(size);
}

}  // namespace

Windows::Windows(io::Reactor& reactor)
    : reactor_(reactor), batch_(block(batch_size)), input_(block(input_size)), scratch_(block(record)) {
    free_.reserve(kept_batches);
}

Windows::~Windows() = default;

Windows::Claim::Claim(Windows& windows) : windows_(windows) {
    assert(!windows_.claimed_ && windows_.filled_ == 0);
    windows_.claimed_ = true;
}

Windows::Claim::~Claim() {
    assert(windows_.filled_ == 0);
    windows_.claimed_ = false;
}

bool Windows::append(const char* data, std::size_t size) {
    if (size > room()) return false;
    std::memcpy(batch_.get() + filled_, data, size);
    filled_ += size;
    return true;
}

Windows::Batch Windows::give_batch() {
    Batch fresh;
    if (free_.empty()) {
        fresh = block(batch_size);
    } else {
        fresh = std::move(free_.back());
        free_.pop_back();
    }
    filled_ = 0;
    return std::exchange(batch_, std::move(fresh));
}

void Windows::take_back(Batch batch) {
    if (free_.size() < kept_batches) free_.push_back(std::move(batch));
}

bool Windows::take_step(bool waited) {
    reactor_.at_batch_end(*this);
    if (steps_ == handshake_steps || (waiting_ > 0 && !waited)) {
        if (!waited) ++waiting_;
        return false;
    }
    if (waited) --waiting_;
    ++steps_;
    return true;
}

void Windows::batch_ended() {
    steps_ = 0;
}

}  // namespace edgeproxy::tls
