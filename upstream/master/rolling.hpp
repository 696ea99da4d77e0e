// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "upstream/control/message.hpp"

namespace edgeproxy::master {

/// How a roll ended: what whoever asked for it is told.
struct RollVerdict {
    std::string pool;
    bool ok = false;
    unsigned replaced = 0;                ///< of what was asked for: workers that have a successor, each once
    std::string why;                      ///< not ok: one sentence with the way of the start that failed
    std::vector<std::string> last_lines;  ///< what the worker that did not come up wrote last
};
using RollTold = std::function<void(const RollVerdict&)>;

/// Which workers of a pool are to be replaced, and which just are being. Pure: the crew starts and drains.
///
///   nothing --want--> wanted --next--> running --done--> nothing (or wanted again)
///                                          \---failed---> nothing, and so is whatever else was wanted
///
/// A slot that is wanted again while its replacement runs is replaced once more afterwards, since its successor may
/// have read the code of before. A failure ends all of it: what the successor of one could not start with, the others'
/// could not either, and the old ones serve.
class Rolling {
 public:
    using Reason = control::RestartReason;

    /// Slots beyond are forgotten.
    void resize(std::size_t slots) { places_.resize(slots); }
    void want(std::uint32_t slot, Reason reason);
    /// The next slot to begin with, which runs from now on. Empty when nothing is wanted, or `at_once` run already. For
    /// `recycle` only one runs at a time, whatever `at_once` says: nobody is in a hurry.
    std::optional<std::uint32_t> next(unsigned at_once);
    /// The successor serves and its predecessor is gone.
    void done(std::uint32_t slot);
    void failed(std::uint32_t slot);
    /// The slot is given up.
    void forget(std::uint32_t slot);

    std::optional<Reason> running(std::uint32_t slot) const;
    bool wanted(std::uint32_t slot) const;
    /// Nothing is wanted and nothing runs.
    bool idle() const;
    /// Slots with a successor since it was last idle: each once, however often it was replaced.
    unsigned replaced() const;
    bool was_replaced(std::uint32_t slot) const;

 private:
    struct Place {
        std::optional<Reason> wanted, running;
        bool replaced = false;
    };
    std::vector<Place> places_;
};

}  // namespace edgeproxy::master
