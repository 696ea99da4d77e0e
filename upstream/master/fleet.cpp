// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/fleet.hpp"

#include <algorithm>

namespace edgeproxy::master {

Crew& Fleet::add(CrewPlan plan) {
    return *crews_.emplace_back(std::make_unique<Crew>(workplace_, std::move(plan)));
}

void Fleet::retire(std::string_view pool) {
    if (Crew* const crew = find(pool)) crew->retire();
    std::erase_if(crews_, [](const auto& crew) { return crew->retired() && crew->is_empty(); });
}

Crew* Fleet::find(std::string_view pool) const {
    const auto it = std::find_if(crews_.begin(), crews_.end(),
                                 [&](const auto& crew) { return !crew->retired() && crew->pool().name == pool; });
    return it != crews_.end() ? it->get() : nullptr;
}

bool Fleet::roll(std::string_view pool, control::RestartReason reason, const RollTold& told) {
    Crew* const crew = find(pool);
    if (crew == nullptr) return false;
    crew->roll(reason, told);
    return true;
}

void Fleet::roll_all(control::RestartReason reason, const RollTold& told) {
    for (const auto& crew : crews_) {
        if (!crew->retired()) crew->roll(reason, told);
    }
}

// ---- of the house

void Fleet::start(bool proxy_ready) {
    for (const auto& crew : crews_) crew->start(proxy_ready);
}

void Fleet::proxy_changed(bool ready) {
    for (const auto& crew : crews_) crew->proxy_changed(ready);
}

void Fleet::introduce(const std::function<void(control::Message)>& tell) {
    for (const auto& crew : crews_) crew->introduce(tell);
}

void Fleet::await_answers(bool waits) {
    for (const auto& crew : crews_) crew->await_answers(waits);
}

std::vector<control::Incarnation> Fleet::serving() const {
    std::vector<control::Incarnation> all;
    for (const auto& crew : crews_) {
        for (const control::Incarnation one : crew->serving()) all.push_back(one);
    }
    return all;
}

std::string Fleet::half_done(bool& lasting) const {
    for (const auto& crew : crews_) {
        std::string what = crew->half_done(lasting);
        if (!what.empty()) return what;
    }
    return {};
}

std::vector<Crew::Memory> Fleet::memory() const {
    std::vector<Crew::Memory> all;
    for (const auto& crew : crews_) all.push_back(crew->memory());
    return all;
}

void Fleet::resume(const std::vector<Crew::Memory>& memories) {
    for (const Crew::Memory& memory : memories) {
        if (Crew* const crew = find(memory.pool)) crew->resume(memory);
    }
}

// Unknown to all: it died while the message was under way.
void Fleet::hear(control::Incarnation incarnation, WorkerEvent event, const std::string& why) {
    std::any_of(crews_.begin(), crews_.end(), [&](const auto& crew) { return crew->hear(incarnation, event, why); });
}

void Fleet::hear_rejected(control::Incarnation incarnation, const std::string& why) {
    std::any_of(crews_.begin(), crews_.end(), [&](const auto& crew) { return crew->hear_rejected(incarnation, why); });
}

void Fleet::hear_stats(const control::Stats& stats) {
    for (const control::WorkerStats& one : stats.workers) {
        std::any_of(crews_.begin(), crews_.end(), [&](const auto& crew) { return crew->hear_stats(one); });
    }
    for (const control::PoolLoad& load : stats.loads) {
        if (Crew* const crew = find(load.pool)) crew->hear_load(load);
    }
}

void Fleet::kill_group_of(pid_t pid) {
    for (const auto& crew : crews_) crew->kill_group_of(pid);
}

bool Fleet::on_exit(pid_t pid, int status) {
    const auto it =
        std::find_if(crews_.begin(), crews_.end(), [&](const auto& crew) { return crew->on_exit(pid, status); });
    if (it == crews_.end()) return false;
    if ((*it)->retired() && (*it)->is_empty()) crews_.erase(it);
    return true;
}

void Fleet::report_usage() {
    for (const auto& crew : crews_) crew->report_usage();
}

void Fleet::stop() {
    for (const auto& crew : crews_) crew->stop();
}

void Fleet::kill() {
    for (const auto& crew : crews_) crew->kill();
}

bool Fleet::is_empty() const {
    return std::all_of(crews_.begin(), crews_.end(), [](const auto& crew) { return crew->is_empty(); });
}

}  // namespace edgeproxy::master
