// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "config/config.hpp"
#include "config/log.hpp"
#include "proxy/admin/metrics.hpp"
#include "proxy/lanes.hpp"
#include "proxy/pressure.hpp"

namespace edgeproxy::proxy {

/// Looks after the whole process: measures its memory and its descriptors, decides how short they are, and tells the
/// lanes what to do. The control thread.
///
/// Memory is the resident set: that is what a cgroup counts and what a machine runs out of. While it is short, what the
/// heap has free is given back to the kernel, so that the measurement follows what is in use.
class Overload {
 public:
    /// Both outlive it.
    Overload(Lanes& lanes, config::Log& log);

    /// Adopts a configuration: budget and limits.
    void configure(const config::Config& config);
    /// Call it every 250 ms or so.
    void tick();
    admin::OverloadSample sample() const;

 private:
    void act(Pressure before, Pressure now);

    Lanes& lanes_;
    config::Log& log_;
    io::UniqueFd statm_;
    std::uint64_t page_;
    std::uint64_t used_ = 0;
    MemoryPressure memory_{0};
    unsigned ticks_ = 0;
};

}  // namespace edgeproxy::proxy
