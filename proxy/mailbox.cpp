// SPDX-License-Identifier: Apache-2.0
#include "proxy/mailbox.hpp"

#include <fcntl.h>

#include <utility>

namespace edgeproxy::proxy {

namespace asio = boost::asio;

Mailbox::Mailbox(asio::io_context& io, control::Channel channel)
    : channel_(std::move(channel)), descriptor_(io, ::fcntl(channel_.fd(), F_DUPFD_CLOEXEC, 0)) {}

void Mailbox::start(Receiver receiver) {
    receiver_ = std::move(receiver);
    wait();
}

void Mailbox::wait() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
        if (!error) read();
    });
}

void Mailbox::read() {
    for (;;) {
        auto received = channel_.receive();
        if (!received) return receiver_.ended();
        if (!*received) break;
        receiver_.message(**received);
    }
    wait();
}

void Mailbox::tell(control::Message message) {
    if (!channel_.send(std::move(message))) return;
    if (channel_.wants_write()) wait_to_flush();
}

void Mailbox::wait_to_flush() {
    if (std::exchange(waiting_to_flush_, true)) return;
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_write, [this](const boost::system::error_code& error) {
        waiting_to_flush_ = false;
        if (error) return;
        if (channel_.flush() && channel_.wants_write()) wait_to_flush();
    });
}

}  // namespace edgeproxy::proxy
