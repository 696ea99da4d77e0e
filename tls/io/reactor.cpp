// SPDX-License-Identifier: Apache-2.0
#include "tls/io/reactor.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <stdexcept>

#include "tls/io/system_call.hpp"

namespace edgeproxy::io {
namespace {

constexpr std::uint64_t wakeup_data = ~std::uint64_t{0};
constexpr std::uint32_t broken_events = EPOLLERR | EPOLLHUP;
constexpr std::uint32_t input_events = EPOLLIN | EPOLLRDHUP | broken_events;

error_code last_error() {
    return {errno, boost::system::system_category()};
}

UniqueFd checked(int fd, const char* what) {
    if (fd < 0) throw boost::system::system_error(last_error(), what);
    return UniqueFd{fd};
}

}  // namespace

/// The outermost frame of a spawned task: reports its end to the reactor, which destroys it at the end of a batch.
struct Reactor::Root {
    struct promise_type {
        Reactor* reactor = nullptr;
        Suspended ended{};

        Root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() const noexcept { return {}; }
        auto final_suspend() const noexcept {
            struct Final {
                bool await_ready() const noexcept { return false; }
                void await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
                    promise_type& promise = self.promise();
                    promise.ended = {self, promise.reactor->finished_};
                    promise.reactor->finished_ = &promise.ended;
                }
                void await_resume() const noexcept {}
            };
            return Final{};
        }
        void return_void() const noexcept {}
        void unhandled_exception() noexcept { ++reactor->exceptions_; }
        static void* operator new(std::size_t size) { return FramePool::allocate(size); }
        static void operator delete(void* frame, std::size_t size) noexcept { FramePool::release(frame, size); }
    };
    std::coroutine_handle<promise_type> handle;

    static Root run(Task<void> task) { co_await task; }
};

void BatchEnd::unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
}

Wait::~Wait() {
    if (prev_ != nullptr) prev_->next_ = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
    if (reactor_.waits_ == this) reactor_.waits_ = next_;
}

void Wait::begin(Suspended& waiter) {
    waiter_ = &waiter;
    prev_ = nullptr;
    next_ = reactor_.waits_;
    if (next_ != nullptr) next_->prev_ = this;
    reactor_.waits_ = this;
}

void Wait::complete() {
    if (waiter_ == nullptr) return;
    if (prev_ != nullptr) prev_->next_ = next_;
    if (next_ != nullptr) next_->prev_ = prev_;
    if (reactor_.waits_ == this) reactor_.waits_ = next_;
    next_ = prev_ = nullptr;
    reactor_.resume_later(*std::exchange(waiter_, nullptr));
}

Reactor::Reactor(unsigned index, Clock& clock)
    : clock_(clock),
      index_(index),
      now_(clock.now()),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wakeup_(checked(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      wheel_(now_) {
    batch_ends_.next_ = batch_ends_.prev_ = &batch_ends_;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = wakeup_data;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0)
        throw boost::system::system_error(last_error(), "epoll_ctl");
}

Reactor::~Reactor() {
    take_posted();
    reap();
    while (batch_ends_.next_ != &batch_ends_) batch_ends_.next_->unlink();
    batch_ends_.next_ = batch_ends_.prev_ = nullptr;
}

/// With room for all slots among the free ones: who leaves needs no memory for it. False: there is none.
bool Reactor::add_slot() {
    const std::size_t at = slots_.size();
    try {
        slots_.emplace_back();
        free_slots_.reserve(slots_.capacity());
    } catch (const std::bad_alloc&) {
        slots_.resize(at);
        return false;
    }
    free_slots_.push_back(static_cast<std::uint32_t>(at));
    return true;
}

error_code Reactor::add(Source& source, int fd, std::uint32_t events) {
    if (free_slots_.empty() && !add_slot()) return {ENOMEM, boost::system::system_category()};
    const std::uint32_t at = free_slots_.back();
    free_slots_.pop_back();
    Slot& slot = slots_[at];
    epoll_event event{};
    event.events = events;
    event.data.u64 = (std::uint64_t{slot.generation} << 32) | at;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        free_slots_.push_back(at);
        return last_error();
    }
    slot.source = &source;
    source.slot_ = at;
    return {};
}

error_code Reactor::add(Source& source, int fd) {
    return add(source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

error_code Reactor::add_listener(Source& source, int fd) {
    return add(source, fd, EPOLLIN | EPOLLEXCLUSIVE);
}

void Reactor::remove(Source& source, int fd) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    closing(source);
}

void Reactor::closing(Source& source) {
    Slot& slot = slots_[source.slot_];
    slot.source = nullptr;
    slot.input_ahead = false;
    ++slot.generation;
    free_slots_.push_back(source.slot_);
}

void Reactor::run() {
    while (!stopped_.load(std::memory_order_relaxed)) run_once(std::chrono::hours(1));
    stopped_.store(false, std::memory_order_relaxed);
}

int Reactor::wait_time(Duration longest) {
    if (has_work() || clock_.is_manual()) return 0;
    Duration wait = longest;
    if (const TimePoint due = wheel_.next_due(); due != never) wait = std::min<Duration>(wait, due - clock_.now());
    if (wait <= Duration::zero()) return 0;
    // Rounded up: waking a little before the slot is due would spin.
    const auto rounded = std::chrono::duration_cast<std::chrono::milliseconds>(wait) + std::chrono::milliseconds(1);
    return static_cast<int>(std::min<std::int64_t>(rounded.count(), 3'600'000));
}

bool Reactor::move_manual_clock(Duration longest) {
    const TimePoint due = wheel_.next_due();
    const TimePoint limit = clock_.now() + std::chrono::duration_cast<TimePoint::duration>(longest);
    clock_.advance_to(std::min(due, limit));
    return due <= limit;
}

void Reactor::announce(std::uint64_t data, std::uint32_t events) {
    if (data != wakeup_data && (events & input_events) != 0)
        slots_[static_cast<std::uint32_t>(data)].input_ahead = true;
}

/// What is no coroutine, whose exceptions its promise takes, may run out of memory too.
template <class Work>
void Reactor::guarded(Work work) {
    try {
        work();
    } catch (const std::exception&) {
        ++exceptions_;
    }
}

void Reactor::deliver(std::uint64_t data, std::uint32_t events) {
    if (data == wakeup_data) {
        std::uint64_t ignored;
        [[maybe_unused]] const auto got = ::read(wakeup_.get(), &ignored, sizeof ignored);
        return;
    }
    // A copy: what is delivered may add sources and so move the table. An older generation is a source that vanished in
    // this batch.
    const Slot slot = slots_[static_cast<std::uint32_t>(data)];
    if (slot.source == nullptr || slot.generation != static_cast<std::uint32_t>(data >> 32)) return;
    slots_[static_cast<std::uint32_t>(data)].input_ahead = false;
    const bool broken = (events & broken_events) != 0;
    const Source::Events found{.readable = broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0,
                               .writable = broken || (events & EPOLLOUT) != 0,
                               .peer_closed = broken || (events & EPOLLRDHUP) != 0,
                               .broken = broken};
    guarded([&] { slot.source->ready(found); });
}

bool Reactor::run_once(Duration longest) {
    std::array<epoll_event, max_events> events;
    const int count =
        system_call::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_time(longest));
    bool worked = count > 0 || has_work() || posted_.load(std::memory_order_relaxed) != nullptr;
    if (!worked && clock_.is_manual()) worked = move_manual_clock(longest);
    now_ = clock_.now();
    ++turn_;
    saw_all_ = count < static_cast<int>(events.size());
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        announce(event.data.u64, event.events);
    }
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        deliver(event.data.u64, event.events);
    }
    take_posted();
    resume_ready();
    wheel_.advance(now_);
    end_batch();
    reap();
    return worked;
}

void Reactor::stop() {
    stopped_.store(true, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = ::write(wakeup_.get(), &one, sizeof one);
}

void Reactor::post(Posted& node) {
    Posted* head = posted_.load(std::memory_order_relaxed);
    do {
        node.next_ = head;
    } while (!posted_.compare_exchange_weak(head, &node, std::memory_order_release, std::memory_order_relaxed));
    if (head != nullptr) return;  // somebody woke the loop already
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto put = ::write(wakeup_.get(), &one, sizeof one);
}

void Reactor::post(std::function<void()> work) {
    struct Function final : Posted {
        explicit Function(std::function<void()> f) : work(std::move(f)) {}
        void run() override {
            const auto mine = std::move(work);
            delete this;
            mine();
        }
        std::function<void()> work;
    };
    post(*new Function(std::move(work)));
}

void Reactor::take_posted() {
    Posted* list = posted_.exchange(nullptr, std::memory_order_acquire);
    Posted* in_order = nullptr;
    while (list != nullptr) {
        Posted* next = list->next_;
        list->next_ = in_order;
        in_order = list;
        list = next;
    }
    while (in_order != nullptr) {
        Posted* node = in_order;
        in_order = node->next_;
        guarded([&] { node->run(); });
    }
}

void Reactor::resume_ready() {
    // One round only: who yields again waits for the next turn, so that sockets are looked at in between.
    *ready_end_ = nullptr;
    Suspended* next = ready_;
    ready_end_ = &ready_;
    while (next != nullptr) {
        const auto handle = next->handle;
        next = next->next;  // first: whoever is resumed may be gone afterwards
        handle.resume();
    }
}

void Reactor::spawn(Task<void> task) {
    Root root = Root::run(std::move(task));
    root.handle.promise().reactor = this;
    ++spawned_;
    root.handle.resume();
}

void Reactor::at_batch_end(BatchEnd& node) {
    if (node.next_ != nullptr) return;
    node.next_ = &batch_ends_;
    node.prev_ = batch_ends_.prev_;
    node.prev_->next_ = &node;
    batch_ends_.prev_ = &node;
}

void Reactor::end_batch() {
    if (batch_ends_.next_ == &batch_ends_) return;
    // To a list of its own first: who asks again during the walk is served in the next turn.
    BatchEnds due;
    due.next_ = std::exchange(batch_ends_.next_, &batch_ends_);
    due.prev_ = std::exchange(batch_ends_.prev_, &batch_ends_);
    due.next_->prev_ = &due;
    due.prev_->next_ = &due;
    while (due.next_ != &due) {
        BatchEnd& node = *due.next_;
        node.unlink();
        guarded([&] { node.batch_ended(); });
    }
    due.next_ = due.prev_ = nullptr;
}

void Reactor::reap() {
    while (finished_ != nullptr) {
        const auto handle = finished_->handle;
        finished_ = finished_->next;
        --spawned_;
        handle.destroy();
    }
}

void Reactor::cancel_all() {
    for (std::size_t at = 0; at < slots_.size(); ++at) {
        if (Source* source = slots_[at].source; source != nullptr) source->cancel_waits();
    }
    while (waits_ != nullptr) {
        Wait* wait = waits_;
        wait->cancel();
        if (waits_ == wait) break;  // a wait that does not end when cancelled would be a bug; do not spin on it
    }
}

void Sleep::await_suspend(std::coroutine_handle<> handle) {
    suspended_.handle = handle;
    begin(suspended_);
    reactor_.wheel().schedule(*this, until_);
}

void Sleep::cancel() {
    cancelled_ = true;
    complete();
}

Result<void> Sleep::await_resume() const {
    if (cancelled_) return errc::cancelled;
    return {};
}

void Event::set() {
    set_ = true;
    complete();
}

void Event::suspend(Suspended& waiter, TimePoint deadline) {
    reason_ = {};
    begin(waiter);
    reactor_.wheel().schedule(*this, deadline);
}

void Event::expired(TimePoint) {
    if (!waiting()) return;
    reason_ = errc::timed_out;
    complete();
}

void Event::cancel() {
    if (!waiting()) return;
    reason_ = errc::cancelled;
    complete();
}

Result<void> Event::outcome() {
    if (set_ || reason_ == errc{}) return {};
    return reason_;
}

}  // namespace edgeproxy::io
