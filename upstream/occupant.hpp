// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <vector>

#include "tls/io/clock.hpp"
#include "upstream/waiting_line.hpp"

namespace edgeproxy::upstream {

/// Somebody busy with an endpoint who must hear when the time for that is over: its drain deadline passed.
///
/// Links itself into a list of its reactor (Admission::occupy); called and destroyed on that reactor; unlinks itself
/// when destroyed.
class Occupant {
 public:
    Occupant() = default;
    Occupant(const Occupant&) = delete;
    Occupant& operator=(const Occupant&) = delete;
    /// Is not interested any more. Harmless when it is not linked.
    void leave() {
        if (link_ == nullptr) return;
        *link_ = next_;
        if (next_ != nullptr) next_->link_ = link_;
        link_ = nullptr;
    }

 protected:
    ~Occupant() { leave(); }

 private:
    friend class Occupants;
    /// End what you do there: cancel the exchange, close the tunnel. Already unlinked. Resumes nothing inline and
    /// destroys no other occupant.
    virtual void cut() = 0;
    /// Your request was sent `patience` ago or longer, and the worker has read nothing of it.
    virtual bool is_unread(io::TimePoint, io::Duration /*patience*/) const { return false; }
    /// The worker does not read. If your request is unread and may be sent twice, end this attempt and make another; if
    /// the worker is `stopped` by a signal, also if it was read. As `cut`, but stays linked.
    virtual void go_elsewhere(bool /*stopped*/) {}
    /// If you are a tunnel by now, close. Stays linked, as `go_elsewhere`.
    virtual void close_tunnel() {}

    EndpointId at_ = 0;
    Occupant* next_ = nullptr;
    Occupant** link_ = nullptr;  ///< what points to this one while it is linked
};

/// The occupants of one pool on one reactor.
class Occupants {
 public:
    Occupants() = default;
    Occupants(const Occupants&) = delete;
    Occupants& operator=(const Occupants&) = delete;
    ~Occupants() {
        while (first_ != nullptr) first_->leave();
    }

    void enter(Occupant& occupant, EndpointId at) {
        occupant.leave();
        occupant.at_ = at;
        occupant.next_ = first_;
        if (first_ != nullptr) first_->link_ = &occupant.next_;
        first_ = &occupant;
        occupant.link_ = &first_;
    }
    void cut(EndpointId at) {
        for (Occupant* occupant = first_; occupant != nullptr;) {
            Occupant* const next = occupant->next_;
            if (occupant->at_ == at) {
                occupant->leave();
                occupant->cut();
            }
            occupant = next;
        }
    }

    /// The endpoint of each that is unread.
    std::vector<EndpointId> unread(io::TimePoint now, io::Duration patience) const {
        std::vector<EndpointId> found;
        for (const Occupant* occupant = first_; occupant != nullptr; occupant = occupant->next_) {
            if (occupant->is_unread(now, patience)) found.push_back(occupant->at_);
        }
        return found;
    }
    void move_unread(EndpointId at, bool stopped) {
        for (Occupant* occupant = first_; occupant != nullptr; occupant = occupant->next_) {
            if (occupant->at_ == at) occupant->go_elsewhere(stopped);
        }
    }
    void close_tunnels(EndpointId at) {
        for (Occupant* occupant = first_; occupant != nullptr; occupant = occupant->next_) {
            if (occupant->at_ == at) occupant->close_tunnel();
        }
    }

 private:
    Occupant* first_ = nullptr;
};

}  // namespace edgeproxy::upstream
