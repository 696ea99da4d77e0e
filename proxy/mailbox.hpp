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
        std::function<void()> ended;  ///< the master closed its end, or sent what nobody understands; once
    };

    Mailbox(boost::asio::io_context& io, control::Channel channel);

    /// Begins to read. `receiver` is called from the loop only.
    void start(Receiver receiver);
    /// Does nothing once the channel has ended: its reader notices.
    void tell(control::Message message);
    void stop() { descriptor_.cancel(); }

 private:
    void wait();
    void read();
    void wait_to_flush();

    control::Channel channel_;
    boost::asio::posix::stream_descriptor descriptor_;
    Receiver receiver_;
    bool waiting_to_flush_ = false;
};

}  // namespace edgeproxy::proxy
