// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_lines.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <limits>
#include <string>

using namespace edgeproxy;
using namespace edgeproxy::admin;
using namespace std::chrono_literals;
using config::LogLevel;
using config::LogRecord;

namespace {

constexpr std::chrono::system_clock::time_point at{1795372300s + 207ms};

const LogRecord worker_exit{
    at,
    LogLevel::error,
    "worker_exit",
    "exited: signal 9 (SIGKILL), pid 4126\nweb-2 | MemoryError\n",
    {{"pool", "web"}, {"worker", "web-2"}, {"pid", 4126}, {"uptime_s", 694.5}, {"again", true}}};

std::string console(const LogRecord& record, const ConsoleStyle& style = {}) {
    LogLines format;
    std::string out;
    format.append_console(out, record, style);
    return out;
}

std::string json(const LogRecord& record) {
    LogLines format;
    std::string out;
    format.append_json(out, record);
    return out;
}

std::string clock_text() {
    TimeText text;
    std::string out;
    text.append_clock_ms(out, at);
    return out;
}

}  // namespace

TEST_CASE("a console line names time, level, subject and what happened", "[admin][log]") {
    CHECK(console({at, LogLevel::info, "ready", "ready: 3 of 3 pools can serve", {}}) ==
          clock_text() + " info  edgeproxy ready: 3 of 3 pools can serve\n");
    CHECK(console({at, LogLevel::info, "started", "started pid 4125", {{"worker", "web-1"}, {"pool", "web"}}}) ==
          clock_text() + " info  web-1     started pid 4125\n");
    CHECK(console({at, LogLevel::warn, "event_only", "", {}}) == clock_text() + " warn  edgeproxy event_only\n");
}

TEST_CASE("further lines of a text stand below it and cannot pose as records", "[admin][log]") {
    CHECK(console(worker_exit) == clock_text() +
                                      " error web-2     exited: signal 9 (SIGKILL), pid 4126\n"
                                      "             web-2 | MemoryError\n");
    const LogRecord forged{at, LogLevel::warn, "x", "a\r\x1b[2J\n18:31:40.207 error fake", {{"worker", "w\nx"}}};
    CHECK(console(forged) == clock_text() +
                                 " warn  w\\x0Ax    a\\x0D\\x1B[2J\n"
                                 "             18:31:40.207 error fake\n");
}

TEST_CASE("fields are shown to who asked for detail", "[admin][log]") {
    CHECK(console({at, LogLevel::debug, "probe", "probe", {{"status", 200}, {"why", "a b"}}}) ==
          clock_text() + " debug edgeproxy probe status=200 why=a b\n");
}

TEST_CASE("colours are for terminals, priorities for the journal", "[admin][log]") {
    const LogRecord record{at, LogLevel::error, "x", "one\ntwo", {}};
    CHECK(console(record, {true, false}) == clock_text() + " \x1b[31merror \x1b[0medgeproxy one\n             two\n");
    CHECK(console(record, {false, true}) == "<3>error edgeproxy one\n<3>             two\n");
}

TEST_CASE("a JSON line has all fields and parses", "[admin][log]") {
    CHECK(
        json(worker_exit) ==
        R"({"ts":"2026-11-22T18:31:40.207Z","level":"error","event":"worker_exit","pool":"web","worker":"web-2",)"
        R"("pid":4126,"uptime_s":694.5,"again":true,"text":"exited: signal 9 (SIGKILL), pid 4126\u000Aweb-2 | MemoryError\u000A"})"
        "\n");
    const LogRecord odd{
        at, LogLevel::info, "a\"b", "\xff", {{"text", "twice"}, {"inf", std::numeric_limits<double>::infinity()}}};
    const auto line = boost::json::parse(json(odd)).as_object();
    CHECK(line.at("event") == "a\"b");
    CHECK(line.at("text") == "\\xFF");
    CHECK(line.at("inf").is_null());
    CHECK(line.size() == 5);
}
