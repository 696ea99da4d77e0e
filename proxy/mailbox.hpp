// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "upstream/control/channel.hpp"

namespace edgeproxy::proxy {

/// The proxy's end of the control channel on the control thread's loop: gives out messages as they come, and sends what
/// the channel cannot take at once as soon as it can. Control thread only; lives as long as its `io_context` runs.
class Mailbox {
 public:
    struct Receiver {
        std::function<void(control::Message&)> message;
        /// The master closed its end, sent what nobody understands, or has long read nothing; once.
        std::function<void()> ended;
    };

    Mailbox(boost::asio::io_context& io, control::Channel channel);

    /// Begins to read. `receiver` is called from the loop only.
    void start(Receiver receiver);
    /// Does nothing once the channel has ended: its reader notices. Of Stats and EndpointsSeen, which come again, none
    /// is sent while anything waits; a queue that is full of the others is the end of the channel.
    void tell(control::Message message);
    void stop() {
        boost::system::error_code closed;
        descriptor_.cancel(closed);
    }

 private:
    void wait();
    void read();
    void end();
    void give_up();
    void wait_to_flush();

    control::Channel channel_;
    boost::asio::posix::stream_descriptor descriptor_;
    Receiver receiver_;
    bool waiting_to_flush_ = false;
    bool ended_ = false;
};

}  // namespace edgeproxy::proxy
