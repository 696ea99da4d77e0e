// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "config/ring.hpp"

namespace edgeproxy::config {

/// One thing known about an event: `{"pid", 4125}`, `{"pool", "app"}`.
struct LogField {
    using Value = std::variant<std::string, std::int64_t, double, bool>;

    std::string key;
    Value value;

    LogField() = default;
    LogField(std::string_view name, std::string_view text) : key(name), value(std::string(text)) {}
    LogField(std::string_view name, const std::string& text) : key(name), value(text) {}
    LogField(std::string_view name, const char* text) : key(name), value(std::string(text)) {}
    LogField(std::string_view name, bool flag) : key(name), value(flag) {}
    LogField(std::string_view name, double number) : key(name), value(number) {}
    template <std::integral T>
    requires(!std::same_as<T, bool>) LogField(std::string_view name, T number)
        : key(name), value(static_cast<std::int64_t>(number)) {}
    /// Milliseconds, under a name that ends in `_ms`.
    LogField(std::string_view name, Duration length) : key(name), value(static_cast<std::int64_t>(length.count())) {}

    bool operator==(const LogField&) const = default;
};

/// What happened, not yet in any format: `event` is the word that machines look for, `text` the sentence for people.
struct LogRecord {
    std::chrono::system_clock::time_point time;
    LogLevel level = LogLevel::info;
    std::string event;
    std::string text;
    std::vector<LogField> fields;

    bool operator==(const LogRecord&) const = default;
};

/// The log sink at the bottom of the house: takes records from every thread, keeps at most `log_capacity` of them for a
/// writer, and when nobody fetches them drops the newest and counts. It never blocks the caller and never touches a
/// descriptor.
///
/// Owned by the program, handed on by reference, outlives everything that logs. Formats and outputs belong to whoever
/// calls `drain`.
///
/// thread  info() and its like, set_level(): any; drain(): one at a time; on_records(): before the second thread starts
class Log {
 public:
    static constexpr std::size_t log_capacity = 4096;  ///< records waiting for the writer
    static constexpr std::size_t longest_text =
        8 * 1024;  ///< bytes of a text or a field's value; the rest is cut and marked `...`
    static constexpr std::size_t most_fields = 32;  ///< of a record; the rest is left out
    using Now = std::chrono::system_clock::time_point (*)();
    using Fields = std::initializer_list<LogField>;

    explicit Log(LogLevel level = LogLevel::info, Now now = &std::chrono::system_clock::now);

    /// Called by the logging thread when the first record after a drain arrives: the place to wake the writer. Must not
    /// log or block.
    void on_records(std::function<void()> wake) { wake_ = std::move(wake); }

    bool wants(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
    LogLevel level() const { return level_.load(std::memory_order_relaxed); }
    void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

    void trace(std::string_view event, std::string_view text, Fields fields = {}) {
        add(LogLevel::trace, event, text, fields);
    }
    void debug(std::string_view event, std::string_view text, Fields fields = {}) {
        add(LogLevel::debug, event, text, fields);
    }
    void info(std::string_view event, std::string_view text, Fields fields = {}) {
        add(LogLevel::info, event, text, fields);
    }
    void warn(std::string_view event, std::string_view text, Fields fields = {}) {
        add(LogLevel::warn, event, text, fields);
    }
    void error(std::string_view event, std::string_view text, Fields fields = {}) {
        add(LogLevel::error, event, text, fields);
    }

    void add(LogLevel level, std::string_view event, std::string_view text, Fields fields = {});

    /// Hands over what waits, oldest first, and tells how many that were. At most one ring full a call.
    std::size_t drain(const std::function<void(LogRecord&&)>& take);

    /// Records lost because the ring was full, since the start.
    std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
    Ring<LogRecord> ring_{log_capacity};
    std::atomic<LogLevel> level_;
    std::atomic<bool> announced_{false};  // the writer was woken and has not drained yet
    std::atomic<std::uint64_t> dropped_{0};
    std::function<void()> wake_;
    const Now now_;
};

/// "trace", "debug", "info", "warn", "error".
std::string_view to_word(LogLevel level);

}  // namespace edgeproxy::config
