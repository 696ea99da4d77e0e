// SPDX-License-Identifier: Apache-2.0
#include "upstream/name_resolver.hpp"

#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace edgeproxy::upstream {

/// What the threads know of their owner; it lives as long as the last of them.
struct NameResolver::Desk {
    const Answer answer;
    const Ask ask;
    unsigned under_way = 0;           ///< the owner's thread only, as `waiting`
    std::deque<std::string> waiting;  ///< for one of `most_at_once`
    std::mutex mutex;
    Post post;  ///< empty after `stop`; under the mutex, so that nothing is posted once `stop` has returned
};

NameResolver::NameResolver(Post post, Answer answer, Ask ask)
    : desk_(new Desk{std::move(answer), std::move(ask), 0, {}, {}, std::move(post)}) {}

NameResolver::~NameResolver() {
    stop();
}

void NameResolver::stop() {
    desk_->waiting.clear();
    const std::lock_guard hold(desk_->mutex);
    desk_->post = nullptr;
}

void NameResolver::resolve(const std::string& host) {
    if (desk_->under_way < most_at_once) return start(desk_, host);
    desk_->waiting.push_back(host);
}

void NameResolver::start(const std::shared_ptr<Desk>& desk, const std::string& host) {
    ++desk->under_way;
    const auto hand_in = [desk, host](Resolved result) {
        const std::lock_guard hold(desk->mutex);
        if (!desk->post) return;
        desk->post([desk, host, result = std::move(result)] { answered(desk, host, result); });
    };
    // Want of a thread or of memory is told as any failure, and the name is asked again later.
    try {
        std::thread([desk, host, hand_in] {
            try {
                hand_in(desk->ask(host));
            } catch (const std::bad_alloc& error) {
                hand_in({{}, error.what()});
            }
        }).detach();
    } catch (const std::exception& error) {
        hand_in({{}, error.what()});
    }
}

void NameResolver::answered(const std::shared_ptr<Desk>& desk, const std::string& host, const Resolved& result) {
    --desk->under_way;
    {
        const std::lock_guard hold(desk->mutex);
        if (!desk->post) return;  // stopped after this was posted
    }
    if (!desk->waiting.empty()) {
        const std::string next = std::move(desk->waiting.front());
        desk->waiting.pop_front();
        start(desk, next);
    }
    desk->answer(host, result);
}

}  // namespace edgeproxy::upstream
