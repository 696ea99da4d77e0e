// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace edgeproxy::admin {

/// Gives every route, listener and pool the index of its cells. An index belongs to a name for the program's life, over
/// reloads, and is never used again, so counters survive and never change their meaning.
///
/// Index 0 is "none" (no route matched, no pool asked). A name beyond `capacity` shares index 0.
///
/// thread  the control thread; a view that `name` gave out may be read by any thread, for the program's life
class Names {
 public:
    static constexpr std::size_t capacity = 1024;  ///< bound of the series made from names of the configuration

    /// The index of `name`, a new one on first sight.
    std::size_t index_of(std::string_view name) {
        for (std::size_t i = 0; i < names_.size(); ++i) {
            if (names_[i] == name) return i;
        }
        if (names_.size() == capacity) return 0;
        names_.emplace_back(name);
        return names_.size() - 1;
    }
    std::string_view name(std::size_t index) const { return names_[index < names_.size() ? index : 0]; }
    std::size_t size() const { return names_.size(); }

 private:
    std::deque<std::string> names_{"none"};
};

/// All names that have cells, and what is counted exactly, across reactors and reloads.
struct Registry {
    Names listeners, routes, pools;
    /// WebSockets open or being opened, by index of their route. Any thread.
    std::array<std::atomic<std::uint32_t>, Names::capacity> tunnels{};
};

}  // namespace edgeproxy::admin
