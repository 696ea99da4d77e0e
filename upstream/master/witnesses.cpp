// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/witnesses.hpp"

#include <utility>

namespace edgeproxy::master {

void Witnesses::begin() {
    *this = {};
    two_ = true;
}

std::vector<Word> Witnesses::hear(Who who, Word word) {
    if (!two_) return {std::move(word)};
    const bool active = who == Who::active;
    const control::Incarnation incarnation = word.incarnation;
    switch (word.event) {
        case WorkerEvent::drained:
            (active ? drained_ : drained_there_).insert(incarnation);
            if (drained_.count(incarnation) == 0 || drained_there_.count(incarnation) == 0) return {};
            break;
        case WorkerEvent::answered:
            if (active) break;
            answered_.insert(incarnation);
            return {};
        case WorkerEvent::suspect:
        case WorkerEvent::hung:
            if (active) unread_[incarnation] = std::move(word);
            return {};
        case WorkerEvent::resumed:
            if (!active) return {};
            unread_.erase(incarnation);
            break;
        default:
            if (!active) return {};
    }
    return {std::move(word)};
}

std::vector<Word> Witnesses::swap() {
    std::vector<Word> words;
    for (const control::Incarnation incarnation : std::exchange(answered_, {}))
        words.push_back({incarnation, WorkerEvent::answered});
    std::swap(drained_, drained_there_);
    unread_.clear();
    return words;
}

std::vector<Word> Witnesses::end() {
    std::vector<Word> words;
    for (const control::Incarnation incarnation : drained_) words.push_back({incarnation, WorkerEvent::drained});
    for (auto& [incarnation, word] : unread_) {
        // Hung was suspect before.
        if (word.event == WorkerEvent::hung) words.push_back({incarnation, WorkerEvent::suspect});
        words.push_back(std::move(word));
    }
    *this = {};
    return words;
}

}  // namespace edgeproxy::master
