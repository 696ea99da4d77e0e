// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/reload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "config/load.hpp"
#include "config/text.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/time.hpp"

namespace edgeproxy::master {
namespace {

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

}  // namespace

const char* word(Reload::Result result) {
    static constexpr std::array<const char*, control::reload_results> words{"ok", "refused", "failed"};
    return words[static_cast<std::size_t>(result)];
}

Reload::Reload(boost::asio::io_context& loop, config::Log& log, Outside outside)
    : loop_(loop), log_(log), outside_(std::move(outside)), timer_(loop), last_ok_at_(unix_now()) {}

void Reload::ask(bool roll_all, bool dry_run, std::shared_ptr<Asker> asker, const std::string& by) {
    if (waiting_.size() >= most_waiting) {
        if (asker) asker->refuse("too many wait for a reload already", ExitCode::refused);
        return;
    }
    log_.info("reload_asked",
              fmt::format("{} asks for a reload{}", by, phase_ == Phase::idle ? "" : "; one is under way"),
              {{"by", by}, {"dry_run", dry_run}});
    if (asker && phase_ != Phase::idle) asker->note("a reload is under way; this one comes next\n");
    waiting_.push_back({roll_all, dry_run, std::move(asker)});
    if (phase_ != Phase::idle) return;
    begin();
    outside_.counted();
}

void Reload::recall(const Memory& memory) {
    generation_ = memory.generation;
    last_tried_ = memory.last_tried;
    counts_ = memory.counts;
    last_failure_ = memory.last_failure;
    last_ok_at_ = memory.last_ok_at;
    behind_ = {memory.behind.begin(), memory.behind.end()};
    absent_ = {memory.absent.begin(), memory.absent.end()};
}

Reload::Memory Reload::memory() const {
    return {generation_,
            last_tried_,
            counts_,
            last_failure_,
            last_ok_at_,
            {behind_.begin(), behind_.end()},
            {absent_.begin(), absent_.end()}};
}

std::string Reload::last_failure() const {
    if (!last_failure_.empty()) return last_failure_;
    for (const Failures* pools : {&behind_, &absent_}) {
        if (!pools->empty()) return fmt::format("pool {}: {}", pools->begin()->first, pools->begin()->second);
    }
    return {};
}

void Reload::replaced(const std::string& pool) {
    if (behind_.erase(pool) + absent_.erase(pool) > 0) outside_.counted();
}

void Reload::begin() {
    begun_ = now();
    if (!outside_.can_begin()) {
        if (phase_ == Phase::waiting) return;
        phase_ = Phase::waiting;
        return expect(outside_.proxy_timeout, "no proxy process is ready");
    }
    orders_ = std::exchange(waiting_, {});
    differences_.clear();
    roll_failure_.clear();
    phase_ = Phase::checking;
    expect(check_timeout, "the check of the file takes too long");
    if (!child_.start(outside_.load)) refuse("cannot start a process to check the file");
}

bool Reload::on_exit(pid_t pid, int status) {
    auto result = child_.on_exit(pid, status);
    if (!result) return false;
    if (phase_ == Phase::checking) checked(std::move(*result));
    return true;
}

void Reload::checked(Checked result) {
    if (!result.config) return refuse(result.problems);
    tell_all(result.problems);
    auto wanted = std::make_shared<config::Config>(*result.config);
    const auto current = outside_.current();
    const std::vector<config::Difference> kept = config::keep_fixed(*current, *wanted);
    differences_ = config::compare(*current, *wanted);
    std::vector<config::Difference> shown = differences_;
    shown.insert(shown.end(), kept.begin(), kept.end());
    for (const config::Difference& one : kept) {
        log_.warn("reload_kept", fmt::format("{} needs a restart to become {}; kept", one.path, one.after),
                  {{"key", one.path}});
    }
    const std::string text = (shown.empty() ? "nothing differs\n" : config::describe(shown)) + describe_behind(*wanted);
    for (const Order& order : orders_) {
        if (!order.asker) continue;
        order.asker->result(text);
        if (order.dry_run) order.asker->done(ExitCode::done);
    }
    std::erase_if(orders_, [](const Order& order) { return order.dry_run; });
    next_ = std::move(wanted);
    prepare();
}

void Reload::prepare() {
    if (orders_.empty()) {  // all of them only wanted to know
        next_.reset();
        phase_ = Phase::idle;
        timer_.cancel();
        if (!waiting_.empty()) begin();
        return outside_.counted();
    }
    if (!outside_.can_begin()) return refuse("the proxy process ended meanwhile");
    std::string error;
    next_resources_ = outside_.resources().renew(*next_, error);
    if (!next_resources_) return refuse(error);
    auto text = control::make_sealed("configuration", config::to_yaml(*next_, {.for_proxy = true}));
    if (!text) return refuse("cannot hand the configuration to the proxy: " + text.error().message());
    phase_ = Phase::preparing;
    ++last_tried_;
    expect(outside_.proxy_timeout, "the proxy process does not answer");
    for (control::Listeners& chunk : next_resources_->listeners()) outside_.tell_proxy(std::move(chunk));
    for (control::KeyMaterial& pair : next_resources_->key_material()) outside_.tell_proxy(std::move(pair));
    outside_.tell_proxy(control::ConfigMessage{last_tried_, std::move(*text)});
    log_.info("reload_checked", fmt::format("the file is valid: {} differences", differences_.size()),
              {{"differences", differences_.size()}});
}

bool Reload::heard(const control::ConfigResult& result) {
    if (result.generation == generation_) return false;
    if (phase_ != Phase::preparing || result.generation != last_tried_) return true;  // of one that was given up
    if (!result.ok) {
        refuse(result.error);
        return true;
    }
    phase_ = Phase::committing;
    expect(outside_.proxy_timeout, "the proxy process does not take the configuration over");
    outside_.tell_proxy(control::Commit{last_tried_});
    return true;
}

void Reload::heard(const control::Committed& message) {
    if (phase_ == Phase::committing && message.generation == last_tried_) committed();
}

void Reload::committed() {
    timer_.cancel();
    generation_ = last_tried_;
    last_ok_at_ = unix_now();
    log_.info("config_committed",
              fmt::format("configuration number {} is in force after {} ms", generation_, elapsed_ms()),
              {{"generation", generation_}, {"differences", differences_.size()}});
    Resources resources = std::move(*next_resources_);
    next_resources_.reset();
    roll(outside_.adopt(std::exchange(next_, {}), std::move(resources)));
}

// Workers that must be replaced, and those of new pools, which start: the verdict waits for both.
void Reload::roll(const Adopted& pools) {
    phase_ = Phase::rolling;
    rolls_ = 1;  // until all are asked: some may answer at once
    for (const std::string& pool : to_roll(pools)) {
        ++rolls_;
        const bool known = outside_.roll(pool, [this](const RollVerdict& verdict) { rolled(verdict); });
        if (!known) --rolls_;
    }
    for (const std::string& pool : pools.added) {
        ++rolls_;
        outside_.await_start(pool, [this](const RollVerdict& verdict) { started(verdict); });
    }
    settled();
}

// What has changed and what an earlier reload has left behind; or all. Not what is new.
std::vector<std::string> Reload::to_roll(const Adopted& pools) {
    const std::vector<std::string> managed = outside_.managed_pools();
    const auto among = [](const std::vector<std::string>& names, const std::string& pool) {
        return std::find(names.begin(), names.end(), pool) != names.end();
    };
    std::erase_if(behind_, [&](const auto& one) { return !among(managed, one.first); });
    std::erase_if(absent_, [&](const auto& one) {
        return !among(managed, one.first) || outside_.is_ok(one.first);  // it has come up later, by itself
    });
    std::vector<std::string> out;
    for (const std::string& pool : managed) {
        const bool due = wants_roll() || among(pools.changed, pool) || behind_.contains(pool) || absent_.contains(pool);
        if (due && !among(pools.added, pool)) out.push_back(pool);
    }
    return out;
}

// A line for each pool of `wanted` that is rolled although nothing about it need differ.
std::string Reload::describe_behind(const config::Config& wanted) const {
    std::string out;
    for (const Failures* pools : {&behind_, &absent_}) {
        for (const auto& [name, why] : *pools) {
            const config::Pool* pool = wanted.find_pool(name);
            if (pool == nullptr || !pool->managed || (pools == &absent_ && outside_.is_ok(name))) continue;
            out += fmt::format("pool {}: its workers are still to be replaced: {}\n", name, why);
        }
    }
    return out;
}

void Reload::rolled(const RollVerdict& verdict) {
    if (phase_ != Phase::rolling || rolls_ == 0) return;
    behind_.erase(verdict.pool);
    absent_.erase(verdict.pool);
    if (!verdict.ok) behind_[verdict.pool] = verdict.why;
    if (verdict.ok) {
        tell_all(fmt::format("pool {}: {} replaced\n", verdict.pool, config::counted(verdict.replaced, "worker")));
    } else {
        failed(verdict, "not all workers were replaced");
    }
    settled();
}

void Reload::started(const RollVerdict& verdict) {
    if (phase_ != Phase::rolling || rolls_ == 0) return;
    if (verdict.ok) {
        tell_all(fmt::format("pool {}: {} started\n", verdict.pool, config::counted(verdict.replaced, "worker")));
    } else {
        absent_[verdict.pool] = verdict.why;
        failed(verdict, fmt::format("pool {} does not start", verdict.pool));
    }
    settled();
}

void Reload::failed(const RollVerdict& verdict, const std::string& what) {
    std::string text = fmt::format("pool {}: {}\n", verdict.pool, verdict.why);
    for (const std::string& line : verdict.last_lines) text += fmt::format("    | {}\n", line);
    tell_all(text);
    if (!roll_failure_.empty()) return;
    roll_failure_ = fmt::format("pool {}: {}", verdict.pool, verdict.why);
    roll_outcome_ = what;
}

// One less to wait for.
void Reload::settled() {
    if (--rolls_ == 0) finish(roll_failure_.empty() ? Result::ok : Result::failed, roll_failure_);
}

void Reload::refuse(const std::string& why) {
    if (phase_ == Phase::preparing || phase_ == Phase::committing) outside_.tell_proxy(control::Forget{last_tried_});
    if (next_resources_) unlink_paths(next_resources_->take_missing_in(outside_.resources()));
    next_.reset();
    next_resources_.reset();
    child_.kill();
    if (phase_ == Phase::waiting) orders_ = std::exchange(waiting_, {});
    tell_all(why.ends_with('\n') ? why : why + "\n");
    finish(Result::refused, why);
}

void Reload::finish(Result result, const std::string& why) {
    timer_.cancel();
    const bool asks = only_asks();
    if (!asks) {
        ++counts_[static_cast<std::size_t>(result)];
        last_failure_ = result == Result::refused ? first_line(why) : std::string();
    }
    const std::vector<Order> orders = std::exchange(orders_, {});
    const std::size_t asked = orders.size();  // by so many it was asked for
    std::string text;
    if (result == Result::ok) {
        text = fmt::format("reloaded in {} ms", elapsed_ms());
        log_.info("reload_ok", text, {{"generation", generation_}, {"asked", asked}});
    } else if (asks) {
        text = fmt::format("this reload would be refused; configuration number {} serves", generation_);
    } else if (result == Result::refused) {
        text = fmt::format("reload refused, nothing has changed; configuration number {} serves", generation_);
        log_.error("reload_refused", text + ": " + why, {{"generation", generation_}, {"asked", asked}});
    } else {
        text = fmt::format("configuration number {} serves, but {}", generation_, roll_outcome_);
        log_.error("reload_failed", text + ": " + why, {{"generation", generation_}, {"asked", asked}});
    }
    phase_ = Phase::idle;
    outside_.counted();  // first: whoever is told looks at the metrics next
    for (const Order& order : orders) {
        if (order.asker) order.asker->note(text + "\n");
        if (order.asker) order.asker->done(result == Result::ok ? ExitCode::done : ExitCode::refused);
    }
    if (waiting_.empty()) return;
    // From the loop, since this may be told in the middle of a crew's or the proxy's work.
    boost::asio::post(loop_, [this] {
        if (phase_ == Phase::idle && !waiting_.empty()) begin();
    });
}

void Reload::proxy_changed(bool ready) {
    if (ready && phase_ == Phase::waiting) return begin();
    if (!ready && (phase_ == Phase::preparing || phase_ == Phase::committing))
        refuse("the proxy process ended meanwhile");
}

void Reload::give_up() {
    timer_.cancel();
    child_.kill();
    std::vector<Order> all = std::exchange(orders_, {});
    for (Order& order : std::exchange(waiting_, {})) all.push_back(std::move(order));
    for (const Order& order : all) {
        if (order.asker) order.asker->refuse("it is stopping", ExitCode::refused);
    }
    if (phase_ != Phase::idle && phase_ != Phase::rolling) outside_.tell_proxy(control::Forget{last_tried_});
    phase_ = Phase::idle;
    next_resources_.reset();
}

void Reload::tell_all(const std::string& text) {
    for (const Order& order : orders_) {
        if (order.asker && !text.empty()) order.asker->note(text);
    }
}

// Nobody wants more than to know, so it is no reload that is refused.
bool Reload::only_asks() const {
    return !orders_.empty() &&
           std::all_of(orders_.begin(), orders_.end(), [](const Order& order) { return order.dry_run; });
}

bool Reload::wants_roll() const {
    return std::any_of(orders_.begin(), orders_.end(), [](const Order& order) { return order.roll_all; });
}

void Reload::expect(std::chrono::milliseconds longest, const std::string& what) {
    timer_.expires_after(longest);
    timer_.async_wait([this, what](boost::system::error_code error) {
        if (error || timer_.expiry() > now()) return;
        if (phase_ != Phase::idle && phase_ != Phase::rolling) overdue(what);
    });
}

// A commit cannot be taken back: perhaps it serves the new configuration already. Its end is the verdict, or its last
// word, which is heard before.
void Reload::overdue(const std::string& what) {
    if (phase_ != Phase::committing) return refuse(what);
    log_.error("reload_unanswered", what + "; it is ended, since nobody knows which one it serves",
               {{"generation", last_tried_}});
    tell_all(what + "; it is ended, since nobody knows which one it serves\n");
    outside_.end_proxy();
}

long long Reload::elapsed_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now() - begun_).count();
}

}  // namespace edgeproxy::master
