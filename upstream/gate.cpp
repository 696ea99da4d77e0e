// SPDX-License-Identifier: Apache-2.0
#include "upstream/gate.hpp"

namespace edgeproxy::upstream {

const char* word(EndpointState state) noexcept {
    switch (state) {
        case EndpointState::ready:
            return "ready";
        case EndpointState::starting:
            return "starting";
        case EndpointState::suspect:
            return "unhealthy";
        case EndpointState::draining:
            return "draining";
        case EndpointState::down:
            return "down";
    }
    return "down";
}

Gate::Reading Gate::set_state(EndpointState state) {
    auto word = word_.load(std::memory_order_seq_cst);
    std::uint64_t wanted = 0;
    do {
        wanted = (word & ~bits(static_cast<EndpointState>(7))) | bits(state);
    } while (!word_.compare_exchange_weak(word, wanted, std::memory_order_seq_cst));
    return Reading{wanted};
}

bool Gate::suspect() {
    auto word = word_.load(std::memory_order_seq_cst);
    while (Reading{word}.state() == EndpointState::ready) {
        if (word_.compare_exchange_weak(word, word | bits(EndpointState::suspect), std::memory_order_seq_cst))
            return true;
    }
    return false;
}

void Gate::set(std::uint64_t bit, bool on) {
    if (on) {
        word_.fetch_or(bit, std::memory_order_seq_cst);
    } else {
        word_.fetch_and(~bit, std::memory_order_seq_cst);
    }
}

void Gate::set_limit(std::uint32_t limit) {
    const auto field = std::uint64_t{clamp(limit)} << limit_shift;
    auto word = word_.load(std::memory_order_seq_cst);
    while (!word_.compare_exchange_weak(word, (word & ~(std::uint64_t{most} << limit_shift)) | field,
                                        std::memory_order_seq_cst)) {
    }
}

}  // namespace edgeproxy::upstream
