// SPDX-License-Identifier: Apache-2.0
#include "proxy/mailbox.hpp"

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <utility>
#include <variant>

namespace edgeproxy::proxy {

namespace asio = boost::asio;

namespace {

/// The next one says all that this one does.
bool comes_again(const control::Message& message) {
    return std::holds_alternative<control::Stats>(message) || std::holds_alternative<control::EndpointsSeen>(message);
}

}  // namespace

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
    while (channel_.is_open()) {
        auto received = channel_.receive();
        if (!received) return end();
        if (!*received) return wait();
        receiver_.message(**received);
    }
}

void Mailbox::end() {
    if (!std::exchange(ended_, true)) receiver_.ended();
}

void Mailbox::tell(control::Message message) {
    if (channel_.wants_write() && comes_again(message)) return;
    const auto sent = channel_.send(std::move(message));
    if (sent.has_error() && sent.error() == control::errc::overflow) give_up();
    if (channel_.wants_write()) wait_to_flush();
}

/// The master does not read, and what it must know cannot be told. Closed, so that it hears of it when it goes on.
void Mailbox::give_up() {
    channel_.close();
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    asio::post(descriptor_.get_executor(), [this] { end(); });
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
