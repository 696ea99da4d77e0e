// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// Cuts a worker's output into lines. A line beyond `longest_line` bytes is told in pieces of that length.
class LineSplitter {
 public:
    static constexpr std::size_t longest_line = 16 * 1024;
    using Take = std::function<void(std::string_view line)>;

    /// Calls `take` for each line that `bytes` completes, without its line end.
    void feed(std::string_view bytes, const Take& take);
    /// The rest that has no line end, when the pipe is at its end.
    void finish(const Take& take);

    struct Memory {
        std::string rest;  ///< of a line that has no end yet
        bool cut = false;  ///< the last piece was cut by its length: a line end right behind it is its own
        bool operator==(const Memory&) const = default;
    };
    const Memory& memory() const { return now_; }
    void recall(Memory memory) { now_ = std::move(memory); }

 private:
    Memory now_;
};

/// The last lines that a worker wrote.
class LineRing {
 public:
    static constexpr std::size_t capacity = 200;  ///< lines
    void add(std::string_view line);
    /// The last `count` of them, oldest first.
    std::vector<std::string> last(std::size_t count) const;

 private:
    std::deque<std::string> lines_;
};

/// What stands before a worker's line, or around it.
struct LineOrigin {
    std::string pool;
    std::string worker;  ///< `<pool>-<slot + 1>`
    int pid = 0;
    bool is_error = false;  ///< standard error rather than output
};

/// `[app-1 4125] line` and a line end; with `json` one object (RFC 8259) with ts, level, event, pool, worker, pid,
/// stream, line. Bytes that are not UTF-8 become U+FFFD in JSON.
std::string format_line(const LineOrigin& origin, std::string_view line, bool json,
                        std::chrono::system_clock::time_point time);

/// Our end of a worker's standard output or error: always drained, so that no worker ever waits for a reader.
///
/// Reads on the loop until the end of file or `finish`. Destroy on the loop's thread.
class LogPipe {
 public:
    /// `begun`: what an earlier reader has of it.
    LogPipe(boost::asio::io_context& loop, io::UniqueFd fd, LineSplitter::Take take, LineSplitter::Memory begun = {});
    ~LogPipe();
    LogPipe(const LogPipe&) = delete;
    LogPipe& operator=(const LogPipe&) = delete;

    /// The worker is dead: takes what is in the pipe now (at most `finish_bytes`) and closes it, although a child of
    /// the worker may still hold the other end.
    void finish();

    int fd() const;  ///< -1 at its end
    const LineSplitter::Memory& memory() const;

 private:
    static constexpr std::size_t finish_bytes = 1024 * 1024;

    struct Reader;
    std::shared_ptr<Reader> reader_;  // shared with the pending wait
};

/// A pipe for a worker: {our end, non-blocking; the worker's end, blocking}. Both close-on-exec; empty on failure.
std::pair<io::UniqueFd, io::UniqueFd> make_log_pipe();

}  // namespace edgeproxy::master
