// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/message.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "samples.hpp"

namespace edgeproxy::control {
namespace {

std::vector<io::UniqueFd> copies(const std::vector<io::UniqueFd>& fds) {
    std::vector<io::UniqueFd> out;
    for (const auto& fd : fds) out.emplace_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    return out;
}

TEST_CASE("every kind of message comes back as it was sent", "[control]") {
    std::set<std::size_t> kinds;
    for (Message& message : samples()) {
        const std::size_t kind = message.index();
        INFO(name(message));
        kinds.insert(kind);
        auto first = encode(std::move(message));
        REQUIRE(first.has_value());
        const std::size_t fds = first->fds.size();
        auto decoded = decode(first->bytes, std::move(first->fds));
        REQUIRE(decoded.has_value());
        CHECK(decoded->index() == kind);
        auto second = encode(std::move(*decoded));
        REQUIRE(second.has_value());
        CHECK(second->bytes == first->bytes);
        CHECK(second->fds.size() == fds);
    }
    CHECK(kinds.size() == std::variant_size_v<Message>);
}

TEST_CASE("every kind of message has a name of its own", "[control]") {
    std::set<std::string> names;
    for (const Message& message : samples()) names.insert(name(message));
    CHECK(names.size() == std::variant_size_v<Message>);
    CHECK(std::string(name(Message(Ready{}))) == "ready");
    CHECK(std::string(name(Message(ListenerDrained{}))) == "listener_drained");
}

TEST_CASE("the fields arrive where they belong", "[control]") {
    auto encoded = encode(WorkerUp{"app", 1, 12, 9, -1, {config::Address::Kind::tcp, "127.0.0.1", 8000}, true, false});
    REQUIRE(encoded.has_value());
    const auto decoded = decode(encoded->bytes, {});
    REQUIRE(decoded.has_value());
    const auto& up = std::get<WorkerUp>(*decoded);
    CHECK(up.pool == "app");
    CHECK(up.slot == 1);
    CHECK(up.incarnation == 12);
    CHECK(up.generation == 9);
    CHECK(up.pid == -1);
    CHECK((up.address == config::Address{config::Address::Kind::tcp, "127.0.0.1", 8000}));
    CHECK(up.held);
    CHECK_FALSE(up.replayed);
}

TEST_CASE("a message that is cut anywhere, or longer than itself, is malformed", "[control]") {
    for (Message& message : samples()) {
        INFO(name(message));
        auto whole = encode(std::move(message));
        REQUIRE(whole.has_value());
        for (std::size_t size = 0; size < whole->bytes.size(); ++size) {
            const std::string cut = whole->bytes.substr(0, size);
            REQUIRE(decode(cut, copies(whole->fds)).error() == errc::malformed);
        }
        CHECK(decode(whole->bytes + '\0', copies(whole->fds)).error() == errc::malformed);
        auto more = copies(whole->fds);
        more.push_back(some_fd());
        CHECK(decode(whole->bytes, std::move(more)).error() == errc::malformed);
        if (!whole->fds.empty()) CHECK(decode(whole->bytes, {}).error() == errc::malformed);
    }
}

TEST_CASE("numbers out of range are malformed", "[control]") {
    const auto bytes = [](Message m) { return encode(std::move(m))->bytes; };
    std::string kind = bytes(Ping{1});
    kind[1] = static_cast<char>(std::variant_size_v<Message>);
    CHECK(decode(kind, {}).error() == errc::malformed);
    std::string other_version = bytes(Ping{1});
    other_version[0] = 2;
    CHECK(decode(other_version, {}).error() == errc::malformed);
    std::string reason = bytes(WorkerDrain{1, Milliseconds(1), DrainReason::health});
    reason.back() = 7;
    CHECK(decode(reason, {}).error() == errc::malformed);
    std::string flag = bytes(ConfigResult{1, false, ""});
    flag[2 + 8] = 2;
    CHECK(decode(flag, {}).error() == errc::malformed);
    std::string longest = bytes(DrainAll{Milliseconds(1), Milliseconds(1)});
    longest[longest.size() - 2] = 1;  // 2^56 ms, before the flag
    CHECK(decode(longest, {}).error() == errc::malformed);
}

TEST_CASE("random bytes never make a message that cannot be written again", "[control]") {
    std::mt19937 random(20261125);
    for (int round = 0; round < 2000; ++round) {
        auto fresh = samples();
        auto encoded = encode(std::move(fresh[random() % fresh.size()]));
        encoded->bytes[random() % encoded->bytes.size()] = static_cast<char>(random());
        auto decoded = decode(encoded->bytes, std::move(encoded->fds));
        if (decoded) CHECK(encode(std::move(*decoded)).has_value());
    }
}

TEST_CASE("texts are cut, lists beyond their bound are refused", "[control]") {
    auto gone = encode(WorkerGone{1, std::string(max_text + 5, 'x')});
    CHECK(std::get<WorkerGone>(*decode(gone->bytes, {})).how.size() == max_text);

    PoolStatus status;
    for (int i = 0; i < 30; ++i) status.last_lines.push_back(std::to_string(i) + std::string(2 * max_line, '.'));
    auto encoded = encode(std::move(status));
    const auto lines = std::get<PoolStatus>(*decode(encoded->bytes, {})).last_lines;
    REQUIRE(lines.size() == max_lines);
    CHECK(lines.front().substr(0, 2) == "10");
    CHECK(lines.front().size() == max_line);

    CHECK(encode(Stats{std::vector<WorkerStats>(max_stats)}).has_value());
    CHECK(encode(Stats{std::vector<WorkerStats>(max_stats + 1)}).error() == errc::too_large);
    CHECK(encode(ConfigMessage{1, {}}).error() == errc::too_large);
}

}  // namespace
}  // namespace edgeproxy::control
