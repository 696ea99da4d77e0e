// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace edgeproxy::control {

/// How the program ends, also as the verdict of a command that a running one answers. People and unit files rely on
/// these numbers.
enum ExitCode : int {
    done = 0,         ///< done; graceful end
    failed = 1,       ///< failed while running
    usage = 2,        ///< wrong command line
    bad_config = 3,   ///< configuration not valid
    cannot_bind = 4,  ///< cannot bind, or a permission is missing
    pool_failed = 5,  ///< a required pool never became ready
    nobody = 6,       ///< no running edgeproxy to talk to
    refused = 7,      ///< the running one said no
    forced = 8,       ///< the grace period ran out
    undecided = 9,    ///< no verdict within --timeout; what was asked for goes on
};

}  // namespace edgeproxy::control
