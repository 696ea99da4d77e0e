// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "upstream/master/worker.hpp"

namespace edgeproxy::master {

/// A word on a worker that counts.
struct Word {
    control::Incarnation incarnation = 0;
    WorkerEvent event = WorkerEvent::answered;
    std::string why{};
    bool operator==(const Word&) const = default;
};

/// Whose word on a worker counts, when two proxy processes see it. Pure.
///
/// Only the active one's verdicts on health count. A worker is drained when both have said so. Unread bytes mean
/// nothing while another proxy sends to it as well: the last word on them is kept until the active one is alone. An
/// answer that the other one had from a worker counts when it becomes the active one.
class Witnesses {
 public:
    enum class Who : std::uint8_t { active, other };

    /// There is another one from now on.
    void begin();
    bool two() const { return two_; }
    /// What a word comes to; empty = nothing now. With one proxy everything counts at once.
    std::vector<Word> hear(Who who, Word word);
    /// True once the other one had an answer of that worker.
    bool other_knows(control::Incarnation incarnation) const { return answered_.count(incarnation) != 0; }
    /// The other one is the active one from now on, and the active the other.
    std::vector<Word> swap();
    /// The other one is gone.
    std::vector<Word> end();

 private:
    bool two_ = false;
    std::set<control::Incarnation> answered_;                 // the other had an answer
    std::set<control::Incarnation> drained_, drained_there_;  // said by the active, by the other
    std::map<control::Incarnation, Word> unread_;             // the active's last word on unread bytes
};

}  // namespace edgeproxy::master
