// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/log.hpp"
#include "upstream/control/message.hpp"
#include "upstream/master/log_pipe.hpp"
#include "upstream/master/process.hpp"

namespace edgeproxy::master {

/// What every crew needs of the house. Outlives the crews.
struct Workplace {
    boost::asio::io_context& loop;
    config::Log& log;
    std::string run_dir{};  ///< of RuntimeDir
    /// Before anything is made in it. False with one sentence when it has gone and cannot be made again.
    std::function<bool(std::string& error)> restore_run_dir{};
    std::vector<std::string> environment{};  ///< ours, which workers inherit
    std::optional<Identity> proxy{};         ///< as whom the proxy runs; empty = as we do
    rlimit core{};                           ///< the core limit before we lowered ours
    std::uint64_t generation = 1;            ///< of the configuration
    std::function<double()> jitter{};        ///< evenly from -1 to 1
    std::function<control::Incarnation()> next_incarnation{};
    std::function<void(control::Message)> tell_proxy{};
    std::function<void(const LineOrigin&, std::string_view)> print{};  ///< a line that a worker wrote
    std::function<void(pid_t group, bool lives)> guard{};
    std::function<void()> changed{};  ///< the state of a crew changed: look at it
    std::function<void()> counted{};  ///< the number of workers that a crew wants changed, or why it does not
};

}  // namespace edgeproxy::master
