// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/scaling.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::master {
namespace {

using control::ScaleDecision;

constexpr int urgent = 4;           // times `queue_time`: more than one at once
constexpr int calm_share = 10;      // a wait below this part of `queue_time` is none
constexpr std::uint64_t spare = 7;  // of ten places of those that would remain may be taken

std::uint64_t counted(std::uint64_t before, std::uint64_t now) {
    return now < before ? now : now - before;  // another proxy counts from nought
}

std::uint64_t most_memory(const Scaling::Sample& sample, const config::Autoscale& limits) {
    constexpr std::uint64_t percent = 100;
    return sample.memory_limit / percent * limits.memory;
}

bool is_tight(const Scaling::Sample& sample, const config::Autoscale& limits) {
    return sample.memory_limit > 0 && sample.memory_used > most_memory(sample, limits);
}

// How many more there is memory for.
std::uint64_t room_for(const Scaling::Sample& sample, const config::Autoscale& limits) {
    if (sample.memory_limit == 0) return limits.max;
    const std::uint64_t most = most_memory(sample, limits);
    if (sample.memory_used >= most) return 0;
    return (most - sample.memory_used) / std::max<std::uint64_t>(1, sample.worker_bytes);
}

bool one_less_would_do(const Scaling::Sample& sample, const config::Autoscale& limits) {
    constexpr std::uint64_t ten = 10;
    return sample.workers > limits.min && sample.in_flight * ten <= (sample.workers - 1) * sample.room * spare;
}

}  // namespace

void Scaling::forget() {
    slow_.reset();
    calm_.reset();
    tight_.reset();
}

// True when the condition has held from `since` on, which is set to `begun` when it is new.
bool Scaling::holds_for(Since& since, bool condition, io::TimePoint begun, io::TimePoint now, io::Duration length) {
    if (!condition) since.reset();
    if (condition && !since) since = begun;
    return since && now - *since >= length;
}

// Of the requests since the last sample. Nobody got a place while somebody waits: as long as that.
io::Duration Scaling::mean_wait(const Sample& sample) const {
    const std::uint64_t requests = counted(last_->requests, sample.requests);
    if (requests == 0) return sample.waiting > 0 ? sample.now - last_->now : io::Duration::zero();
    const std::uint64_t waited = counted(last_->waited_us, sample.waited_us);
    return std::chrono::microseconds(waited / requests);
}

Scaling::Verdict Scaling::observe(const Sample& sample, const config::Autoscale& limits) {
    const Verdict as_it_is{sample.workers, std::nullopt};
    const bool first = !last_ || sample.now - last_->now > longest_gap;
    if (first || !sample.settled) {
        forget();
        last_ = sample;
        return as_it_is;
    }
    const io::Duration wait = mean_wait(sample);
    const io::TimePoint begun = std::exchange(last_, sample)->now;
    const bool calm =
        sample.waiting == 0 && wait * calm_share <= limits.queue_time && one_less_would_do(sample, limits);
    const bool was_slow = holds_for(slow_, wait > limits.queue_time, begun, sample.now, limits.up_after);
    const bool was_calm = holds_for(calm_, calm, begun, sample.now, limits.down_after);
    const bool was_tight = holds_for(tight_, is_tight(sample, limits), begun, sample.now, limits.up_after);
    if (!was_slow && !was_calm && !was_tight) return as_it_is;
    if (was_tight && sample.workers > limits.min) {
        forget();
        return {sample.workers - 1, ScaleDecision::down_memory};
    }
    if (was_slow) return grow(sample, limits, wait);
    if (!was_calm) return as_it_is;
    forget();
    return {sample.workers - 1, ScaleDecision::down_idle};
}

Scaling::Verdict Scaling::grow(const Sample& sample, const config::Autoscale& limits, io::Duration wait) {
    forget();
    const unsigned more = wait >= limits.queue_time * urgent ? std::max(1u, sample.workers / 2) : 1;
    const std::uint64_t room = room_for(sample, limits);
    if (sample.workers >= limits.max) return {sample.workers, ScaleDecision::held_max};
    if (room == 0) return {sample.workers, ScaleDecision::held_memory};
    const auto added = static_cast<unsigned>(std::min<std::uint64_t>(more, room));
    return {std::min(sample.workers + added, limits.max), ScaleDecision::up_queue_time};
}

}  // namespace edgeproxy::master
