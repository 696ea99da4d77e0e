// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "proxy/snapshot.hpp"
#include "upstream/admission.hpp"
#include "upstream/lease.hpp"

namespace edgeproxy::proxy {

/// A request whose client has left while a worker was at it. The worker is told by the end of our side, which servers
/// of ASGI pass on at once; one of sync gunicorn goes on to its answer. Its place is taken until it closes the
/// connection or begins to answer, at most until `deadline` or the end of its drain: whoever had it earlier would wait
/// in the worker's own backlog, beyond the bounds of `queue`, and what nobody wants any more would all be executed.
///
/// Spawned on the lane that admitted it. `snapshot` is what the admission's pool belongs to.
io::Task<void> wait_for_abandoned(std::unique_ptr<upstream::UpstreamConnection> connection,
                                  upstream::Admission admission, SnapshotRef snapshot, io::TimePoint deadline);

}  // namespace edgeproxy::proxy
