// SPDX-License-Identifier: Apache-2.0
#include "upstream/shared.hpp"

#include <algorithm>
#include <utility>

namespace edgeproxy::upstream {

SharedConnection::~SharedConnection() {
    leave_list();
}

void SharedConnection::leave_list() {
    if (list_ != nullptr) std::erase(list_->all_, this);
    list_ = nullptr;
}

SharedConnections::~SharedConnections() {
    for (SharedConnection* const connection : all_) connection->list_ = nullptr;
}

SharedConnection* SharedConnections::find() const {
    const auto found = std::find_if(all_.begin(), all_.end(), [](const auto* one) { return one->has_room(); });
    return found != all_.end() ? *found : nullptr;
}

bool SharedConnections::add(SharedConnection& connection) {
    if (closed_) return false;
    all_.push_back(&connection);
    connection.list_ = this;
    return true;
}

void SharedConnections::close() {
    closed_ = true;
    for (SharedConnection* const connection : std::exchange(all_, {})) {
        connection->list_ = nullptr;
        connection->retire();
    }
}

bool SharedConnections::Turn::take(SharedConnections& connections) {
    if (connections.connecting_) return false;
    connections.connecting_ = true;
    connections_ = &connections;
    return true;
}

void SharedConnections::Turn::end() {
    if (connections_ == nullptr) return;
    connections_->connecting_ = false;
    for (io::Event* const event : connections_->waiting_) event->set();
    connections_ = nullptr;
}

SharedConnections::Wait::Wait(SharedConnections& connections, io::Event& event)
    : connections_(connections), event_(event) {
    connections_.waiting_.push_back(&event);
}

SharedConnections::Wait::~Wait() {
    std::erase(connections_.waiting_, &event_);
}

}  // namespace edgeproxy::upstream
