// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "tls/io/high_water.hpp"

namespace edgeproxy::proxy {

/// Large objects of one reactor that are used again: nothing is allocated once the pool is warm. One thread; outlives
/// what it lends.
///
/// T is default constructible; whoever takes one resets what it uses. `kept` free ones may wait, more while as many
/// were lent lately (io::HighWater).
template <class T>
class ObjectPool {
 public:
    static constexpr std::size_t kept = 256;

    struct Return {
        ObjectPool* pool = nullptr;
        void operator()(T* object) const { pool->give_back(object); }
    };
    using Loan = std::unique_ptr<T, Return>;

    Loan take() {
        water_.lent();
        if (free_.empty()) return Loan{new T, Return{this}};
        std::unique_ptr<T> object = std::move(free_.back());
        free_.pop_back();
        return Loan{object.release(), Return{this}};
    }

    /// Gives the free ones back to the heap.
    void trim() { free_.clear(); }
    /// A while is over: what was not needed in the last two goes back to the heap.
    void settle() { free_.resize(std::min(free_.size(), water_.pass())); }

 private:
    void give_back(T* object) {
        std::unique_ptr<T> owned{object};
        try {
            if (water_.returned(free_.size())) free_.push_back(std::move(owned));
        } catch (const std::bad_alloc&) {
            // The list cannot grow: it is deleted.
        }
    }
    io::HighWater water_{kept};
    std::vector<std::unique_ptr<T>> free_;
};

}  // namespace edgeproxy::proxy
