// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_writer.hpp"

#include <poll.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "proxy/admin/log_thread.hpp"
#include "tests/proxy/admin/samples.hpp"
#include "tests/proxy/admin/scratch.hpp"

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;
using test::Pipe;
using test::sample_record;
using test::ScratchFile;

namespace {

std::size_t lines_of(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// A log, an access log with one lane, and a writer with two files.
struct Desk {
    ScratchFile log_file, access_file;
    config::Log log;
    AccessLog access{1};
    config::Logging logging;
    LogWriter writer{log, &access, logging, {log_file.open(), access_file.open()}};

    explicit Desk(config::Logging with = {}) : logging(std::move(with)) {}
    LogDescriptors descriptors() const { return {log_file.open(), access_file.open()}; }
};

/// Waits until something can be read, for at most five seconds.
bool readable(int fd) {
    pollfd poll{fd, POLLIN, 0};
    return ::poll(&poll, 1, 5000) == 1;
}

}  // namespace

TEST_CASE("records of both logs go to their files, as JSON where no terminal is", "[admin][writer]") {
    Desk desk;
    desk.log.info("ready", "ready: 1 of 1 pools can serve");
    desk.access.write(0, sample_record());
    CHECK(desk.writer.turn() == 2);
    CHECK(desk.log_file.text().find(R"("event":"ready","text":"ready: 1 of 1 pools can serve"})") != std::string::npos);
    CHECK(desk.access_file.text().starts_with(R"({"ts":")"));
    CHECK(desk.writer.turn() == 0);
    CHECK(desk.writer.log_dropped() == 0);
    CHECK(desk.writer.access_dropped() == 0);
}

TEST_CASE("formats are what the configuration says", "[admin][writer]") {
    config::Logging logging;
    logging.format = config::LogFormat::console;
    logging.access.format = config::LogFormat::combined;
    Desk desk(logging);
    desk.log.warn("x", "careful");
    desk.access.write(0, sample_record());
    desk.writer.turn();
    CHECK(desk.log_file.text().ends_with(" warn  edgeproxy careful\n"));
    CHECK(desk.access_file.text().starts_with("203.0.113.9 - - ["));
    desk.logging.access.format = config::LogFormat::console;
    desk.writer.configure(desk.logging, desk.descriptors());
    desk.writer.turn();
    desk.access.write(0, sample_record());
    desk.writer.turn();
    CHECK(desk.access_file.text().ends_with("web-2  h2  203.0.113.9\n"));
}

TEST_CASE("excluded paths and a disabled access log leave no line", "[admin][writer]") {
    config::Logging logging;
    logging.access.exclude = {"/healthz"};
    Desk desk(logging);
    auto record = sample_record();
    record.path = "/healthz/live";
    desk.access.write(0, record);
    record.path = "/healthzz";
    desk.access.write(0, record);
    desk.writer.turn();
    CHECK(lines_of(desk.access_file.text()) == 1);
    desk.logging.access.enabled = false;
    desk.writer.configure(desk.logging, desk.descriptors());
    desk.writer.turn();
    desk.access.write(0, record);
    desk.writer.turn();
    CHECK(lines_of(desk.access_file.text()) == 1);
}

TEST_CASE("reopened files get what comes later, the old ones keep what was", "[admin][writer]") {
    Desk desk;
    const ScratchFile log_file, access_file;
    desk.access.write(0, sample_record());
    desk.writer.configure(desk.logging, {log_file.open(), access_file.open()});
    desk.writer.turn();
    CHECK(lines_of(desk.access_file.text()) == 1);
    desk.access.write(0, sample_record());
    desk.writer.turn();
    CHECK(lines_of(desk.access_file.text()) == 1);
    CHECK(lines_of(access_file.text()) == 1);
}

TEST_CASE("a full disk under the access log is told once in the log and counted", "[admin][writer]") {
    const ScratchFile log_file;
    config::Log log;
    AccessLog access(1);
    LogWriter writer(log, &access, {}, {log_file.open(), io::UniqueFd{::open("/dev/full", O_WRONLY)}});
    for (int i = 0; i < 3; ++i) {
        access.write(0, sample_record());
        writer.turn();
    }
    writer.turn();
    CHECK(writer.access_dropped() == 3);
    CHECK(lines_of(log_file.text()) == 1);
    CHECK(log_file.text().find("No space left on device") != std::string::npos);
}

TEST_CASE("a file that cannot be opened is told where it can be seen", "[admin][writer]") {
    const ScratchFile log_file;
    config::Log log;
    AccessLog access(1);
    config::Logging logging;
    logging.access.output = "/nowhere/at/all.log";
    LogWriter writer(log, &access, logging, {log_file.open(), {}});
    writer.turn();
    CHECK(log_file.text().find("cannot open /nowhere/at/all.log: No such file or directory") != std::string::npos);
}

TEST_CASE("where both logs share a place their lines do not mix", "[admin][writer]") {
    const ScratchFile file;
    config::Log log;
    AccessLog access(1);
    LogWriter writer(log, &access, {}, {file.open(), file.open()});
    for (int i = 0; i < 3000; ++i) {
        access.write(0, sample_record());
        log.info("tick", "tock");
        if (i % 100 == 0) writer.turn();
    }
    writer.turn();
    std::istringstream lines(file.text());
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        REQUIRE((line.starts_with("{\"ts\":") && line.ends_with("}")));
    }
    CHECK(count + log.dropped() + access.dropped() == 6000);
}

TEST_CASE("the end waits for a slow output, but not for ever", "[admin][writer]") {
    Pipe pipe;
    config::Log log;
    AccessLog access(1);
    LogWriter writer(log, &access, {}, {io::UniqueFd{::open("/dev/null", O_WRONLY)}, std::move(pipe.in)});
    for (int i = 0; i < 1000; ++i) access.write(0, sample_record());
    writer.finish(50ms);
    CHECK_FALSE(writer.pending());
    CHECK(lines_of(pipe.take()) + writer.access_dropped() == 1000);
    CHECK(writer.access_dropped() > 0);
}

TEST_CASE("the thread writes what comes, soon, and at its end what is left", "[admin][writer]") {
    Pipe pipe, access_pipe;
    config::Log log;
    AccessLog access(1);
    LogWriter writer(log, &access, {}, {std::move(pipe.in), std::move(access_pipe.in)});
    {
        LogThread thread(log, &access, writer);
        for (int round = 0; round < 3; ++round) {
            access.write(0, sample_record());
            REQUIRE(readable(access_pipe.out.get()));
            CHECK(lines_of(access_pipe.take()) == 1);
            log.info("round", "round");
            REQUIRE(readable(pipe.out.get()));
            CHECK(lines_of(pipe.take()) == 1);
        }
        for (int i = 0; i < 50; ++i) access.write(0, sample_record());
    }
    CHECK(lines_of(access_pipe.take()) == 50);
    log.info("late", "after the end");  // harmless
    access.write(0, sample_record());
}

TEST_CASE("an output that is stuck holds up neither reactors nor the other log nor the end", "[admin][writer]") {
    Pipe log_pipe, stuck;
    config::Log log;
    AccessLog access(2, 64 * 1024);
    LogWriter writer(log, &access, {}, {std::move(log_pipe.in), std::move(stuck.in)});
    constexpr std::size_t each = 20'000;
    std::string text;
    std::jthread reader;
    {
        LogThread thread(log, &access, writer);
        const auto write = [&](unsigned lane) {
            for (std::size_t i = 0; i < each; ++i) access.write(lane, sample_record());
        };
        std::thread one(write, 0), two(write, 1);
        one.join();
        two.join();
        log.info("still", "still here");
        REQUIRE(readable(log_pipe.out.get()));
        // Somebody reads at last, so that the end needs no patience.
        reader = std::jthread([&](const std::stop_token& stop) {
            while (!stop.stop_requested()) text += stuck.take();
        });
    }
    reader.request_stop();
    reader.join();
    text += stuck.take();
    CHECK(writer.access_dropped() > 0);
    CHECK(lines_of(text) + writer.access_dropped() == 2 * each);
}
