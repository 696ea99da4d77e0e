// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/log_writer.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "proxy/admin/access_lines.hpp"
#include "proxy/admin/log_lines.hpp"
#include "proxy/admin/log_output.hpp"

namespace edgeproxy::admin {
namespace {

using config::LogFormat;

bool wants_colour(const LogOutput& output) {
    const char* const terminal = std::getenv("TERM");
    return output.is_terminal() && std::getenv("NO_COLOR") == nullptr &&
           (terminal == nullptr || std::string_view(terminal) != "dumb");
}

LogFormat resolved(LogFormat format, const LogOutput& output) {
    if (format != LogFormat::automatic) return format;
    return output.is_terminal() || output.is_journal() ? LogFormat::console : LogFormat::json;
}

/// The descriptor of `output`, or standard error where its file cannot be opened.
io::UniqueFd open_output(io::UniqueFd given, const std::string& output, int standard, config::Log& log) {
    if (given) return given;
    if (output.empty()) return io::UniqueFd{standard};
    if (output == "stdout") return io::UniqueFd{STDOUT_FILENO};
    if (output == "stderr") return io::UniqueFd{STDERR_FILENO};
    io::UniqueFd opened = LogOutput::open(output);
    if (opened) return opened;
    log.error("log_open_failed", "cannot open " + output + ": " + std::generic_category().message(errno),
              {{"path", output}});
    return io::UniqueFd{STDERR_FILENO};
}

}  // namespace

/// Where lines go and how they look; replaced as a whole.
struct LogWriter::Plan {
    Plan(const config::Logging& logging, LogDescriptors descriptors, config::Log& errors)
        : logging(logging),
          log(open_output(std::move(descriptors.log), logging.output, STDERR_FILENO, errors)),
          own_access(open_output(std::move(descriptors.access), logging.access.output, STDOUT_FILENO, errors)),
          access(own_access.same_place(log) ? log : own_access),
          log_format(resolved(logging.format, log)),
          access_format(resolved(logging.access.format, access)),
          style{wants_colour(log), log.is_journal()} {}

    bool shared() const { return &access == &log; }
    void flush() {
        log.flush();
        if (!shared()) access.flush();
    }
    void give_up() {
        log.give_up();
        own_access.give_up();
    }

    const config::Logging logging;
    LogOutput log, own_access;
    LogOutput& access;  ///< `log` where both go to the same place, so that lines do not mix
    const LogFormat log_format, access_format;
    const ConsoleStyle style;
    LogLines log_lines;
    AccessLines access_lines;
    std::string line;
    int reported = 0;  ///< errno of the access log that was told
};

LogWriter::LogWriter(config::Log& log, AccessLog* access, const config::Logging& logging, LogDescriptors descriptors)
    : log_(log), access_(access), plan_(std::make_unique<Plan>(logging, std::move(descriptors), log)) {}

LogWriter::~LogWriter() = default;

void LogWriter::configure(const config::Logging& logging, LogDescriptors descriptors) {
    auto plan = std::make_unique<Plan>(logging, std::move(descriptors), log_);
    const std::lock_guard lock(mutex_);
    next_ = std::move(plan);
}

void LogWriter::adopt() {
    std::unique_ptr<Plan> next;
    {
        const std::lock_guard lock(mutex_);
        next = std::move(next_);
    }
    if (!next) return;
    plan_->flush();
    plan_->give_up();
    log_before_ += plan_->log.dropped();
    access_before_ += plan_->own_access.dropped();
    plan_ = std::move(next);
}

std::size_t LogWriter::turn() {
    std::size_t taken = take_log() + take_access();
    adopt();
    plan_->flush();
    report_failure();
    count_lost();
    return taken;
}

std::size_t LogWriter::take_log() {
    Plan& plan = *plan_;
    return log_.drain([&](config::LogRecord&& record) {
        plan.line.clear();
        if (plan.log_format == LogFormat::console) {
            plan.log_lines.append_console(plan.line, record, plan.style);
        } else {
            plan.log_lines.append_json(plan.line, record);
        }
        plan.log.add(plan.line);
    });
}

std::size_t LogWriter::take_access() {
    if (access_ == nullptr) return 0;
    Plan& plan = *plan_;
    const bool colour = wants_colour(plan.access);
    return access_->drain([&](const ExchangeRecord& record) {
        if (!plan.logging.access.enabled || is_excluded(record.path, plan.logging.access.exclude)) return;
        plan.line.clear();
        switch (plan.access_format) {
            case LogFormat::console:
                if (plan.access.is_journal()) plan.line.append("<6>");
                plan.access_lines.append_console(plan.line, record, colour, !plan.access.is_journal());
                break;
            case LogFormat::combined:
                plan.access_lines.append_combined(plan.line, record);
                break;
            case LogFormat::automatic:
            case LogFormat::json:
                plan.access_lines.append_json(plan.line, record);
                break;
        }
        plan.access.add(plan.line);
    });
}

/// The access log's trouble is told in the log, once; the log's own trouble can only be counted.
void LogWriter::report_failure() {
    Plan& plan = *plan_;
    const int error = plan.shared() ? 0 : plan.access.error();
    if (error == std::exchange(plan.reported, error) || error == 0) return;
    log_.error("access_log_failed", "access log: " + std::generic_category().message(error) + "; lines are dropped",
               {{"output", plan.logging.access.output}});
}

void LogWriter::count_lost() {
    log_lost_.store(log_before_ + plan_->log.dropped(), std::memory_order_relaxed);
    access_lost_.store(access_before_ + plan_->own_access.dropped(), std::memory_order_relaxed);
}

bool LogWriter::pending() const {
    return plan_->log.pending() || plan_->own_access.pending();
}

void LogWriter::wait(int wakeup, std::chrono::milliseconds longest) {
    const auto watched = [](const LogOutput& output) { return output.pending() ? output.fd() : -1; };
    std::array<pollfd, 3> polls{
        {{wakeup, POLLIN, 0}, {watched(plan_->log), POLLOUT, 0}, {watched(plan_->own_access), POLLOUT, 0}}};
    ::poll(polls.data(), polls.size(), static_cast<int>(longest.count()));
}

void LogWriter::finish(std::chrono::milliseconds longest) {
    const auto end = std::chrono::steady_clock::now() + longest;
    for (;;) {
        const std::size_t taken = turn();
        if (taken == 0 && !pending()) return;
        const auto rest = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (rest.count() <= 0) break;
        if (pending()) wait(-1, rest);
    }
    plan_->give_up();
    count_lost();
}

std::uint64_t LogWriter::log_dropped() const {
    return log_.dropped() + log_lost_.load(std::memory_order_relaxed);
}

std::uint64_t LogWriter::access_dropped() const {
    return (access_ == nullptr ? 0 : access_->dropped()) + access_lost_.load(std::memory_order_relaxed);
}

}  // namespace edgeproxy::admin
