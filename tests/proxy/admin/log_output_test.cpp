// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_output.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "tests/proxy/admin/scratch.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using test::Pipe;
using test::ScratchFile;

TEST_CASE("lines gather and leave whole", "[admin][output]") {
    const ScratchFile file;
    LogOutput output(file.open());
    output.add("one\n");
    output.add("two\n");
    CHECK(output.pending());
    CHECK(file.text().empty());
    output.flush();
    CHECK(file.text() == "one\ntwo\n");
    CHECK_FALSE(output.pending());
    CHECK(output.dropped() == 0);
}

TEST_CASE("much text is written without being asked", "[admin][output]") {
    const ScratchFile file;
    LogOutput output(file.open());
    const std::string line = std::string(999, 'x') + "\n";
    for (int i = 0; i < 1000; ++i) output.add(line);
    CHECK(file.text().size() > 900'000);
    output.flush();
    CHECK(file.text().size() == 1'000'000);
}

TEST_CASE("a full disk drops and counts, and the log goes on when there is room again", "[admin][output]") {
    LogOutput output(io::UniqueFd{::open("/dev/full", O_WRONLY | O_CLOEXEC)});
    output.add("one\n");
    output.add("two\n");
    output.flush();
    CHECK(output.error() == ENOSPC);
    CHECK(output.dropped() == 2);
    CHECK_FALSE(output.pending());
    output.add("three\n");
    output.flush();
    CHECK(output.dropped() == 3);
}

TEST_CASE("a reader that is gone costs lines, not the process", "[admin][output]") {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    Pipe pipe;
    LogOutput output(std::move(pipe.in));
    pipe.out.reset();
    output.add("one\n");
    output.flush();
    CHECK(output.error() == EPIPE);
    CHECK(output.dropped() == 1);
    std::signal(SIGPIPE, before);
}

TEST_CASE("a pipe that nobody empties never blocks, and its lines stay whole", "[admin][output]") {
    Pipe pipe;
    REQUIRE((::fcntl(pipe.in.get(), F_GETFL) & O_NONBLOCK) == 0);
    LogOutput output(std::move(pipe.in));
    constexpr int most = 20'000;
    for (int i = 0; i < most; ++i) output.add("line " + std::to_string(i) + " " + std::string(80, 'x') + "\n");
    output.flush();
    CHECK(output.pending());
    CHECK(output.dropped() > 0);
    CHECK((::fcntl(output.fd(), F_GETFL) & O_NONBLOCK) == 0);  // the flags are shared with others: untouched

    std::string text;
    while (output.pending()) {
        text += pipe.take();
        output.flush();
    }
    text += pipe.take();
    std::istringstream lines(text);
    std::string line;
    int next = 0;
    for (; std::getline(lines, line); ++next) {
        REQUIRE(line == "line " + std::to_string(next) + " " + std::string(80, 'x'));
    }
    CHECK(static_cast<std::uint64_t>(next) + output.dropped() == most);
}

TEST_CASE("after a line that was cut off the next one starts on a line of its own", "[admin][output]") {
    Pipe pipe;
    LogOutput output(std::move(pipe.in));
    while (!output.pending()) {
        output.add(std::string(5000, 'x') + "\n");
        output.flush();
    }
    output.give_up();
    CHECK(output.dropped() == 1);
    const std::string first = pipe.take();
    REQUIRE(first.back() == 'x');
    output.add("next\n");
    output.flush();
    CHECK(pipe.take() == "\nnext\n");
}

TEST_CASE("a socket that nobody reads never blocks", "[admin][output]") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const io::UniqueFd other{ends[1]};
    LogOutput output(io::UniqueFd{ends[0]});
    for (int i = 0; i < 2000; ++i) output.add(std::string(999, 'x') + "\n");
    output.flush();
    CHECK(output.pending());
    CHECK(output.dropped() > 0);
}

TEST_CASE("two descriptors of one place are known as such", "[admin][output]") {
    const ScratchFile file, another;
    const LogOutput one(file.open()), two(file.open()), three(another.open());
    CHECK(one.same_place(two));
    CHECK_FALSE(one.same_place(three));
    CHECK_FALSE(one.is_terminal());
}

TEST_CASE("a descriptor that is the journal's is known by its inode", "[admin][output]") {
    const ScratchFile file;
    struct stat status {};
    REQUIRE(::stat(file.path().c_str(), &status) == 0);
    ::setenv("JOURNAL_STREAM", (std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino)).c_str(), 1);
    CHECK(LogOutput(file.open()).is_journal());
    ::setenv("JOURNAL_STREAM", "1:2", 1);
    CHECK_FALSE(LogOutput(file.open()).is_journal());
    ::unsetenv("JOURNAL_STREAM");
    CHECK_FALSE(LogOutput(file.open()).is_journal());
}

TEST_CASE("standard streams outlive their output", "[admin][output]") {
    { const LogOutput output(io::UniqueFd{STDERR_FILENO}); }
    CHECK(::fcntl(STDERR_FILENO, F_GETFD) >= 0);
}
