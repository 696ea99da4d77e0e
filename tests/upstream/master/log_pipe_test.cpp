// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/log_pipe.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support.hpp"
#include "upstream/master/output.hpp"

namespace edgeproxy::master {
namespace {

std::vector<std::string> split(const std::string& bytes, std::size_t cut) {
    std::vector<std::string> out;
    LineSplitter splitter;
    const auto take = [&](std::string_view line) { out.emplace_back(line); };
    for (std::size_t at = 0; at < bytes.size(); at += cut) splitter.feed(std::string_view(bytes).substr(at, cut), take);
    splitter.finish(take);
    return out;
}

TEST_CASE("output is cut into lines wherever the reads are cut", "[log]") {
    using Lines = std::vector<std::string>;
    const std::string longest(LineSplitter::longest_line, 'x');
    const auto [bytes, lines] = GENERATE_COPY(table<std::string, Lines>({
        {"", {}},
        {"one\n", {"one"}},
        {"one\ntwo", {"one", "two"}},
        {"\n\n", {"", ""}},
        {"dos\r\nmid\rdle\n", {"dos", "mid\rdle"}},
        {longest + "\n", {longest}},
        {longest + "\n\n", {longest, ""}},
        {longest + "rest\n", {longest, "rest"}},
    }));
    for (const std::size_t cut : {std::size_t{1}, std::size_t{3}, bytes.size() + 1}) {
        const bool same = split(bytes, cut) == lines;  // not shown: the lines are long
        CHECK(same);
    }
}

TEST_CASE("the last two hundred lines are remembered", "[log]") {
    LineRing ring;
    CHECK(ring.last(20).empty());
    for (int i = 0; i < 300; ++i) ring.add(std::to_string(i));
    CHECK(ring.last(2) == std::vector<std::string>{"298", "299"});
    CHECK(ring.last(1000).size() == LineRing::capacity);
    CHECK(ring.last(1000).front() == "100");
}

TEST_CASE("a line is told with its worker, for people and for machines", "[log]") {
    const LineOrigin origin{"app", "app-1", 4125, true};
    const std::chrono::system_clock::time_point time{std::chrono::milliseconds(1795372300007)};
    CHECK(format_line(origin, "hello", false, time) == "[app-1 4125] hello\n");
    CHECK(
        format_line(origin, "say \"hi\"\t\\ \xc3\xa4", true, time) ==
        R"({"ts":"2026-11-22T18:31:40.007Z","level":"info","event":"worker_output","pool":"app","worker":"app-1","pid":4125,)"
        R"("stream":"stderr","line":"say \"hi\"\u0009\\ )"
        "\xc3\xa4\"}\n");
}

TEST_CASE("bytes that are not UTF-8 never break the JSON", "[log]") {
    const auto [bytes, text] = GENERATE(table<std::string, std::string>({
        {"\xff", R"(\\xFF)"},
        {"\xc3(", R"(\\xC3()"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
    }));
    CHECK(format_line({}, bytes, true, {}).find("\"line\":\"" + text + "\"}") != std::string::npos);
}

TEST_CASE("a pipe is drained while its writer floods it", "[log]") {
    boost::asio::io_context loop;
    auto [ours, theirs] = make_log_pipe();
    REQUIRE(ours);
    std::size_t lines = 0;
    LogPipe pipe(loop, std::move(ours), [&](std::string_view) { ++lines; });
    constexpr std::size_t count = 100000;
    const pid_t writer = ::fork();
    if (writer == 0) {
        for (std::size_t i = 0; i < count; ++i) {
            if (::write(theirs.get(), "a line of the log\n", 18) != 18) ::_exit(1);
        }
        ::_exit(0);
    }
    theirs.reset();
    loop.run();  // ends at the end of file
    ::waitpid(writer, nullptr, 0);
    CHECK(lines == count);
}

TEST_CASE("what is in the pipe at a worker's death is told, though its child holds the other end", "[log]") {
    boost::asio::io_context loop;
    auto [ours, theirs] = make_log_pipe();
    std::vector<std::string> lines;
    LogPipe pipe(loop, std::move(ours), [&](std::string_view line) { lines.emplace_back(line); });
    REQUIRE(::write(theirs.get(), "last\nwords", 10) == 10);
    pipe.finish();
    CHECK(lines == std::vector<std::string>{"last", "words"});
    loop.run();  // nothing waits any more
    pipe.finish();
    CHECK(lines.size() == 2);
}

TEST_CASE("an output whose reader does not read never blocks: it keeps some, then drops and counts", "[log]") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const io::UniqueFd reader(ends[0]);
    Output output{io::UniqueFd(ends[1])};
    const std::string line(1000, 'x');
    for (int i = 0; i < 1000; ++i) output.write(line);
    CHECK(output.dropped() > 0);
    CHECK_FALSE(output.flush());
    CHECK((::fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0);

    ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
    std::size_t read = 0;
    std::string buffer(65536, '\0');
    for (bool done = false; !done;) {
        done = output.flush();
        for (ssize_t n = 0; (n = ::read(reader.get(), buffer.data(), buffer.size())) > 0;)
            read += static_cast<std::size_t>(n);
    }
    CHECK(read == (1000 - output.dropped()) * line.size());
}

TEST_CASE("lines that a full disk does not take are counted, and told once it takes lines again", "[log]") {
    Output output{io::UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))};
    output.write("one\ntwo\n");
    output.write("three\n");
    CHECK(output.flush());
    CHECK(output.dropped() == 3);
    CHECK(output.take_lost() == 0);
    Scratch scratch;
    output.reopen(io::UniqueFd(::open(scratch.path("log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
    CHECK(output.take_lost() == 0);
    output.write("four\n");
    CHECK(output.take_lost() == 3);
    CHECK(output.take_lost() == 0);
    CHECK(read_file(scratch.path("log")) == "four\n");
    CHECK(output.dropped() == 3);
}

TEST_CASE("an output whose reader is gone goes on with nothing", "[log]") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    Output output{io::UniqueFd(ends[1])};
    ::close(ends[0]);
    const int code = in_child([&] {
        ::signal(SIGPIPE, SIG_IGN);
        output.write("lost\n");
        return output.flush() && output.dropped() == 1 ? 0 : 1;
    });
    CHECK(code == 0);
}

}  // namespace
}  // namespace edgeproxy::master
