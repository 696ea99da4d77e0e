// SPDX-License-Identifier: Apache-2.0
#include "proxy/abandoned.hpp"

#include <utility>

namespace edgeproxy::proxy {
namespace {

struct Leaving final : upstream::Occupant {
    explicit Leaving(io::Socket& socket) : socket_(socket) {}

 private:
    void cut() override { socket_.cancel(); }
    io::Socket& socket_;
};

}  // namespace

io::Task<void> wait_for_abandoned(std::unique_ptr<upstream::UpstreamConnection> connection,
                                  upstream::Admission admission, SnapshotRef snapshot, io::TimePoint deadline) {
    // Destroyed in this order from below.
    const SnapshotRef held = std::move(snapshot);
    const upstream::Admission place = std::move(admission);
    const std::unique_ptr<upstream::UpstreamConnection> last = std::move(connection);
    Leaving leaving{last->socket()};
    place.occupy(leaving);
    last->socket().restore();
    last->stream().shutdown_write();
    last->socket().read_deadline(deadline);
    const auto let_go = co_await last->stream().wait_readable();
    static_cast<void>(let_go);  // or it is time, or the program ends
}

}  // namespace edgeproxy::proxy
