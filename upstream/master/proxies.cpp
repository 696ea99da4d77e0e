// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/proxies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>
#include <type_traits>
#include <utility>

#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

constexpr milliseconds look_again{50};

template <class Kind>
constexpr bool carries_descriptors =
    std::is_same_v<Kind, control::Listeners> || std::is_same_v<Kind, control::KeyMaterial> ||
    std::is_same_v<Kind, control::ConfigMessage> || std::is_same_v<Kind, control::LogFiles>;

// What a message says about the state of a worker; empty when it says nothing.
std::optional<Word> word_of(const control::Message& message) {
    if (const auto* m = std::get_if<control::WorkerReady>(&message)) return Word{m->incarnation, WorkerEvent::answered};
    if (const auto* m = std::get_if<control::WorkerDrained>(&message))
        return Word{m->incarnation, WorkerEvent::drained};
    if (const auto* m = std::get_if<control::Suspect>(&message)) return Word{m->incarnation, WorkerEvent::suspect};
    if (const auto* m = std::get_if<control::Resumed>(&message)) return Word{m->incarnation, WorkerEvent::resumed};
    if (const auto* m = std::get_if<control::Hung>(&message)) return Word{m->incarnation, WorkerEvent::hung};
    if (const auto* m = std::get_if<control::Healthy>(&message)) return Word{m->incarnation, WorkerEvent::healthy};
    if (const auto* m = std::get_if<control::Unhealthy>(&message))
        return Word{m->incarnation, WorkerEvent::unhealthy, m->why};
    return std::nullopt;
}

}  // namespace

Proxies::Proxies(boost::asio::io_context& loop, config::Log& log, ProcessRequest request, Outside outside)
    : loop_(loop),
      log_(log),
      request_(std::move(request)),
      outside_(std::move(outside)),
      timer_(loop),
      active_(make(0)) {}

std::unique_ptr<ProxyProcess> Proxies::make(std::uint64_t epochs) {
    return std::make_unique<ProxyProcess>(loop_, log_, request_, events(), epochs);
}

ProxyProcess::Events Proxies::events() {
    ProxyProcess::Events events;
    events.greet = [this](ProxyProcess& who) { outside_.greet(who, is_active(who)); };
    events.heard = [this](ProxyProcess& who, control::Message message) { heard(who, std::move(message)); };
    events.changed = [this](ProxyProcess& who, bool ready) { changed(who, ready); };
    events.lives = [this](pid_t pid, bool lives) { outside_.lives(pid, lives); };
    events.ended = [this](ProxyProcess& who, const std::string& how) { ended(who, how); };
    return events;
}

void Proxies::tell_all(control::Message message) {
    if (other_ && phase_ != Phase::dropping) {
        std::visit(
            [this](const auto& one) {
                using Kind = std::decay_t<decltype(one)>;
                if constexpr (!carries_descriptors<Kind>) other_->send(Kind(one));
            },
            message);
    }
    active_->send(std::move(message));
}

bool Proxies::on_exit(pid_t pid, int status) {
    return (other_ && other_->on_exit(pid, status)) || active_->on_exit(pid, status);
}

void Proxies::kill() {
    active_->kill();
    if (other_) other_->kill();
}

// ---- the new one
// ----------------------------------------------------------------------------------------------------

void Proxies::adopt(const ProxyProcess::Memory& memory) {
    active_->adopt(memory);
}

void Proxies::take_over() {
    active_->keep_down();  // if it dies now there is somebody to take its place
    witnesses_.begin();
    phase_ = Phase::starting;
    other_ = make(active_->epoch());
    other_->keep_down();  // its end is the end of the upgrade
    expect(step_timeout, fmt::format("the new proxy process was not ready in {} s", step_timeout.count() / 1000));
    if (!other_->start()) fail("the new proxy process cannot be started");
}

void Proxies::abandon(const std::string& why) {
    if (is_handing()) fail(why);
}

// Goes on when every worker that serves has answered the new one; without those that are too busy for it later.
void Proxies::look() {
    if (phase_ != Phase::probing) return;
    const std::vector<control::Incarnation> serving = outside_.serving();
    const auto known = std::count_if(serving.begin(), serving.end(),
                                     [this](control::Incarnation one) { return witnesses_.other_knows(one); });
    if (static_cast<std::size_t>(known) == serving.size()) return hand_over();
    if (now() >= probed_until_) return known > 0 ? hand_over() : fail("no worker has answered the new proxy process");
    timer_.expires_after(look_again);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) look();
    });
}

void Proxies::hand_over() {
    phase_ = Phase::handing;
    expect(step_timeout, "the new proxy process does not take over the listeners");
    outside_.hand_over(other_ ? *other_ : *active_);
}

// From now on the new one serves, and the old one ends what it has.
void Proxies::serves() {
    timer_.cancel();
    if (!other_) {  // the old one is dead already
        phase_ = Phase::alone;
        outside_.took_over({});
        return outside_.changed(true);
    }
    phase_ = Phase::leaving;
    std::swap(active_, other_);
    active_->keep_up();
    const milliseconds limit = outside_.drain_limit();
    other_->send(control::DrainAll{milliseconds(0), limit, true});
    other_->send(control::ListenersClosed{});
    outside_.await_answers(true);  // first: those that it has had count
    apply(witnesses_.swap());
    expect(limit + leave_margin, {});
    outside_.took_over({});
}

// The old one died while it served: the new one is the only one now.
void Proxies::promote() {
    const bool ready = phase_ == Phase::probing || phase_ == Phase::handing;
    const bool handed = phase_ == Phase::handing;
    std::swap(active_, other_);
    forget_other();
    outside_.await_answers(false);
    apply(witnesses_.swap());
    apply(witnesses_.end());
    active_->keep_up();
    if (ready) {
        phase_ = Phase::handing;
        if (!handed) hand_over();
        return;
    }
    // It has no listeners yet: the next one gets them at its start.
    phase_ = Phase::alone;
    outside_.took_over("the old proxy process ended before the new one was ready");
    active_->kill();
}

void Proxies::fail(const std::string& why) {
    timer_.cancel();
    const bool beside = static_cast<bool>(other_);
    phase_ = beside ? Phase::dropping : Phase::alone;
    if (beside) {
        active_->keep_up();
        other_->keep_down();
        other_->kill();
        if (!other_->is_alive()) forget_other();
    } else {
        active_->kill();  // started again, with listeners
    }
    outside_.took_over(why);
}

// Later, since this is told in the middle of its own work.
void Proxies::forget_other() {
    boost::asio::post(loop_, [gone = std::shared_ptr<ProxyProcess>(std::move(other_))] {});
    if (phase_ != Phase::leaving && phase_ != Phase::dropping) return;
    phase_ = Phase::alone;
    timer_.cancel();
    apply(witnesses_.end());
    outside_.alone();
}

void Proxies::expect(milliseconds longest, const std::string& otherwise) {
    timer_.expires_after(longest);
    timer_.async_wait([this, otherwise](boost::system::error_code error) {
        if (error || timer_.expiry() > now()) return;
        if (is_handing()) return fail(otherwise);
        if (phase_ != Phase::leaving) return;
        log_.warn("drain_overdue", "the old proxy process has not drained in time", {{"pid", other_->pid()}});
        other_->kill();
    });
}

// ---- what they say
// --------------------------------------------------------------------------------------------------

void Proxies::heard(ProxyProcess& who, control::Message message) {
    if (word(who, message)) return look();
    // While it takes over, these are about the listeners; the configuration in force stays as it is.
    if (phase_ == Phase::handing && (!other_ || !is_active(who))) {
        if (const auto* result = std::get_if<control::ConfigResult>(&message)) {
            if (!result->ok) return fail("the new proxy process refuses the listeners: " + result->error);
            return who.send(control::Commit{result->generation});
        }
        if (std::holds_alternative<control::Committed>(message)) return serves();
    }
    if (is_active(who)) return outside_.heard(std::move(message));
    heard_of_other(message);
}

void Proxies::heard_of_other(const control::Message& message) {
    if (const auto* result = std::get_if<control::ConfigResult>(&message); result != nullptr && !result->ok)
        return fail("the new proxy process refuses the configuration: " + result->error);
    const auto* drained = std::get_if<control::Drained>(&message);
    if (drained == nullptr || phase_ != Phase::leaving) return;
    if (drained->left_over > 0) {
        log_.warn("requests_cut", fmt::format("{} requests of the old proxy process were cut, since its drain took too "
                                              "long",
                                              drained->left_over));
    }
    other_->finish();
}

bool Proxies::word(ProxyProcess& who, const control::Message& message) {
    auto one = word_of(message);
    if (!one) return false;
    apply(witnesses_.hear(is_active(who) ? Who::active : Who::other, std::move(*one)));
    return true;
}

void Proxies::apply(const std::vector<Word>& words) {
    for (const Word& word : words) outside_.word(word);
}

void Proxies::changed(ProxyProcess& who, bool ready) {
    if (is_active(who)) {
        if (!ready && phase_ == Phase::handing && !other_) {  // started again, with listeners
            phase_ = Phase::alone;
            timer_.cancel();
            outside_.took_over("both proxy processes ended before the new one served");
        }
        return outside_.changed(ready);
    }
    if (!ready || phase_ != Phase::starting) return;
    phase_ = Phase::probing;
    probed_until_ = now() + probe_timeout;
    look();
}

void Proxies::ended(ProxyProcess& who, const std::string& how) {
    if (is_active(who)) {
        if (!other_ || !is_handing()) return outside_.ended(how);
        log_.error("proxy_exit", "the old proxy process ended: " + how + "; the new one takes its place");
        return promote();
    }
    if (is_handing()) {
        phase_ = Phase::dropping;
        active_->keep_up();
        forget_other();
        return outside_.took_over("the new proxy process ended: " + how);
    }
    log_.info("proxy_gone",
              fmt::format("the {} proxy process has ended: {}", phase_ == Phase::leaving ? "old" : "new", how));
    forget_other();
}

}  // namespace edgeproxy::master
