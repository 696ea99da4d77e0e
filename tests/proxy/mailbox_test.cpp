// SPDX-License-Identifier: Apache-2.0
#include "proxy/mailbox.hpp"

#include <catch2/catch.hpp>

using namespace edgeproxy;
using control::Channel;

namespace {

/// The proxy's end, and a master that reads only when a test says so.
class Post {
 public:
    Post() : Post(control::make_pair()) {}

    void turn() {
        io_.restart();
        io_.poll();
    }
    /// Reads all that the proxy has told.
    void master_reads() {
        for (;;) {
            auto got = master_.receive();
            if (!got) {
                master_saw_end = true;
                return;
            }
            if (*got) {
                read.push_back(std::move(**got));
                continue;
            }
            const std::size_t before = read.size();
            turn();
            if (std::exchange(last_, before) == before) return;
        }
    }
    template <class Kind>
    std::size_t count() const {
        std::size_t found = 0;
        for (const control::Message& message : read) found += std::holds_alternative<Kind>(message);
        return found;
    }

    std::vector<control::Message> read;
    bool master_saw_end = false;
    int ended = 0;

 private:
    explicit Post(control::Result<std::pair<Channel, io::UniqueFd>> pair)
        : master_(std::move(pair->first)), mailbox(io_, Channel(std::move(pair->second))) {
        mailbox.start({[](control::Message&) {}, [this] { ++ended; }});
    }

    boost::asio::io_context io_;
    Channel master_;
    std::size_t last_ = ~std::size_t{0};

 public:
    proxy::Mailbox mailbox;
};

}  // namespace

TEST_CASE("a master that was stopped for long hears all the news, and few of the reports", "[proxy][mailbox]") {
    Post post;
    for (std::size_t second = 0; second < 2 * Channel::max_queue; ++second) {
        post.mailbox.tell(control::Stats{});
        post.mailbox.tell(control::EndpointsSeen{});
    }
    post.mailbox.tell(control::Healthy{7});
    post.turn();
    CHECK(post.ended == 0);

    post.master_reads();
    CHECK(post.count<control::Healthy>() == 1);
    CHECK(post.count<control::Stats>() + post.count<control::EndpointsSeen>() < Channel::max_queue);

    post.read.clear();
    post.mailbox.tell(control::Stats{});
    post.master_reads();
    CHECK(post.count<control::Stats>() == 1);
    CHECK_FALSE(post.master_saw_end);
}

TEST_CASE("more news than a master reads are the end of the channel, told once", "[proxy][mailbox]") {
    Post post;
    for (std::uint64_t number = 0; number < 2 * Channel::max_queue; ++number)
        post.mailbox.tell(control::Healthy{number});
    CHECK(post.ended == 0);  // told from the loop
    post.turn();
    CHECK(post.ended == 1);
    post.mailbox.tell(control::Healthy{0});
    post.turn();
    CHECK(post.ended == 1);
    post.mailbox.stop();

    post.master_reads();
    CHECK(post.master_saw_end);
}
