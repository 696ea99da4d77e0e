// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace edgeproxy::cli {

/// How the program ends. People and unit files rely on these numbers.
enum ExitCode : int {
    exit_done = 0,           ///< done; graceful end
    exit_failed = 1,         ///< failed while running
    exit_usage = 2,          ///< wrong command line
    exit_configuration = 3,  ///< configuration not valid
    exit_start = 4,          ///< cannot bind, or a permission is missing
    exit_never_ready = 5,    ///< a required pool never became ready
    exit_nobody = 6,         ///< no running edgeproxy to talk to
    exit_refused = 7,        ///< the running one said no
    exit_forced = 8,         ///< the grace period ran out
    exit_undecided = 9,      ///< no verdict within --timeout; what was asked for goes on
};

}  // namespace edgeproxy::cli
