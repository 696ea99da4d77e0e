// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/upgrade.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "upstream/master/resources.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

std::string last_line(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    const std::size_t end = text.rfind('\n');
    return end == std::string::npos ? text : text.substr(end + 1);
}

}  // namespace

Upgrade::Upgrade(boost::asio::io_context& loop, config::Log& log, Outside outside, Times times)
    : log_(log), outside_(std::move(outside)), times_(times), timer_(loop) {}

void Upgrade::ask(std::shared_ptr<Asker> asker, const std::string& by) {
    log_.info("upgrade_asked", fmt::format("{} asks for an upgrade to {}", by, outside_.program), {{"by", by}});
    const std::string why = is_busy() ? "an upgrade is under way" : outside_.forbidden();
    if (!why.empty()) {
        ++counts_[static_cast<std::size_t>(Result::refused)];
        log_.error("upgrade_refused", "upgrade refused: " + why, {{"by", by}});
        if (asker) asker->refuse(why, ExitCode::refused);
        return outside_.counted();
    }
    asker_ = std::move(asker);
    begun_ = now();
    phase_ = Phase::waiting;
    outside_.counted();
    begin();
}

// What is half done is waited for: it could not be carried over.
void Upgrade::begin() {
    const std::string why = outside_.half_done();
    if (why.empty()) return check();
    if (now() - begun_ >= times_.wait) return finish(Result::refused, why);
    timer_.expires_after(times_.again);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error && phase_ == Phase::waiting) begin();
    });
}

void Upgrade::check() {
    checked_ = identify(outside_.program);
    if (!checked_) return finish(Result::refused, fmt::format("{}: {}", outside_.program, std::strerror(errno)));
    const io::UniqueFd state = outside_.state();
    std::string error = "our state cannot be written";
    phase_ = Phase::checking;
    if (!state || !check_.start(outside_.program, outside_.arguments, outside_.environment, state, error))
        return finish(Result::refused, error);
    too_late_ = false;
    timer_.expires_after(times_.check);
    timer_.async_wait([this](boost::system::error_code failed) {
        if (failed || phase_ != Phase::checking) return;
        too_late_ = true;
        check_.kill();
    });
}

bool Upgrade::on_exit(pid_t pid, int status) {
    const auto said = check_.on_exit(pid, status);
    if (!said) return false;
    if (phase_ != Phase::checking) return true;
    timer_.cancel();
    if (too_late_) {
        finish(Result::refused, fmt::format("{} did not judge our state in {} s", outside_.program,
                                            std::chrono::duration_cast<std::chrono::seconds>(times_.check).count()));
    } else if (!said->empty()) {
        if (asker_) asker_->note(*said);
        finish(Result::refused, last_line(*said));
    } else {
        phase_ = Phase::executing;
        outside_.execute();
    }
    return true;
}

bool Upgrade::ready_to_execute() {
    if (phase_ != Phase::executing) return false;
    if (outside_.half_done().empty()) {
        if (identify(outside_.program) == checked_) return true;
        finish(Result::refused, outside_.program + " has changed since it was looked at");
        return false;
    }
    phase_ = Phase::waiting;
    begin();
    return false;
}

Upgrade::Memory Upgrade::memory() const {
    return {counts_, last_failure_, EDGEPROXY_VERSION, asker_ ? asker_->descriptor() : -1, begun_};
}

void Upgrade::not_executed(const std::string& why) {
    finish(Result::refused, fmt::format("cannot execute {}: {}", outside_.program, why));
}

void Upgrade::resume(const Memory& memory, std::shared_ptr<Asker> asker) {
    counts_ = memory.counts;
    last_failure_ = memory.last_failure;
    begun_ = memory.begun;
    before_ = memory.version;
    asker_ = std::move(asker);
    phase_ = Phase::resumed;
    log_.info("upgrade_executed", fmt::format("version {} goes on for version {}", EDGEPROXY_VERSION, before_));
}

void Upgrade::took_over(const std::string& failure) {
    if (phase_ == Phase::resumed) finish(failure.empty() ? Result::ok : Result::failed, failure);
}

void Upgrade::give_up() {
    timer_.cancel();
    check_.kill();
    if (phase_ == Phase::resumed || phase_ == Phase::idle) return;  // the proxies tell the end of it
    finish(Result::refused, "it is stopping");
}

void Upgrade::finish(Result result, const std::string& why) {
    timer_.cancel();
    phase_ = Phase::idle;
    ++counts_[static_cast<std::size_t>(result)];
    last_failure_ = why;
    const auto took = std::chrono::duration_cast<milliseconds>(now() - begun_).count();
    const std::shared_ptr<Asker> asker = std::move(asker_);
    std::string text;
    if (result == Result::ok) {
        text = fmt::format("upgraded from version {} to {} in {} ms", before_, EDGEPROXY_VERSION, took);
        log_.info("upgrade_ok", text);
    } else if (result == Result::refused) {
        text = fmt::format("upgrade refused, nothing has changed: {}", why);
        log_.error("upgrade_refused", text);
    } else {
        text = fmt::format("upgrade failed: {}; the new master goes on with a proxy process that serves", why);
        log_.error("upgrade_failed", text);
    }
    outside_.counted();
    if (asker) asker->note((result == Result::ok ? "" : "edgeproxy: ") + text + "\n");
    if (asker) asker->done(result == Result::ok ? ExitCode::done : ExitCode::refused);
}

}  // namespace edgeproxy::master
