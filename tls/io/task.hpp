// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "tls/io/frame_pool.hpp"

namespace edgeproxy::io {

template <class T>
class Task;

namespace detail {

/// What the promises of all tasks share: a lazy start, a continuation that is resumed at the end, frames from the pool.
///
/// No symmetric transfer: awaiting starts the child at once and suspends the parent only if the child is not finished.
/// g++ 12 overflows the stack after some hundred thousand awaits that finish at once otherwise, and with "try the
/// system call first" those are normal.
struct PromiseBase : Pooled {
    struct Final {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            // The parent may destroy this frame while it runs; nothing is touched afterwards.
            if (auto parent = self.promise().continuation) parent.resume();
        }
        void await_resume() const noexcept {}
    };

    std::coroutine_handle<> continuation{};
    std::exception_ptr failure{};

    std::suspend_always initial_suspend() const noexcept { return {}; }
    Final final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
    std::optional<T> value;
    Task<T> get_return_object() noexcept;
    template <class U>
    void return_value(U&& from) {
        value.emplace(std::forward<U>(from));
    }
    T take() {
        if (failure) std::rethrow_exception(failure);
        return std::move(*value);
    }
};

template <>
struct Promise<void> : PromiseBase {
    Task<void> get_return_object() noexcept;
    void return_void() const noexcept {}
    void take() const {
        if (failure) std::rethrow_exception(failure);
    }
};

}  // namespace detail

/// A coroutine that gives one T (or nothing), run by whoever awaits it, on one reactor thread.
///
/// `co_await task` starts it and gives its result; an exception in it continues in the awaiter. `start()` begins it
/// earlier, so that two directions can run at once; then it must be awaited before it is destroyed. The frame is
/// destroyed with the Task, which must not happen while it waits in an operation. Parameters by reference must outlive
/// it.
template <class T = void>
class [[nodiscard]] Task {
 public:
    using promise_type = detail::Promise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task() = default;
    explicit Task(Handle handle) : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, {});
        }
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() {
        if (handle_) handle_.destroy();
    }

    explicit operator bool() const { return static_cast<bool>(handle_); }
    bool done() const { return handle_.done(); }

    /// Runs it up to its first wait. REQUIRES: not started.
    void start() {
        started_ = true;
        handle_.resume();
    }

    bool await_ready() {
        if (!started_) start();
        return handle_.done();
    }
    void await_suspend(std::coroutine_handle<> parent) noexcept { handle_.promise().continuation = parent; }
    T await_resume() { return handle_.promise().take(); }

 private:
    Handle handle_{};
    bool started_ = false;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() noexcept {
    return Task<T>{std::coroutine_handle<Promise<T>>::from_promise(*this)};
}
inline Task<void> Promise<void>::get_return_object() noexcept {
    return Task<void>{std::coroutine_handle<Promise<void>>::from_promise(*this)};
}
}  // namespace detail

}  // namespace edgeproxy::io
