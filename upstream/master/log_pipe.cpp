// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/log_pipe.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "config/text_escape.hpp"

namespace edgeproxy::master {
namespace {

constexpr std::size_t turn_bytes = 64 * 1024;  // one worker may not keep the loop longer than this

}  // namespace

void LineSplitter::feed(std::string_view bytes, const Take& take) {
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::size_t room = longest_line - now_.rest.size();
        const std::size_t size = std::min({end, room, bytes.size()});
        now_.rest.append(bytes, 0, size);
        bytes.remove_prefix(size);
        const bool line_end = !bytes.empty() && bytes.front() == '\n';
        if (line_end) bytes.remove_prefix(1);
        if (line_end && now_.rest.ends_with('\r')) now_.rest.pop_back();
        const bool ends_cut_line = line_end && now_.cut && now_.rest.empty();
        now_.cut = !line_end && now_.rest.size() == longest_line;
        if (now_.cut || (line_end && !ends_cut_line)) {
            take(now_.rest);
            now_.rest.clear();
        }
    }
}

void LineSplitter::finish(const Take& take) {
    if (!now_.rest.empty()) take(now_.rest);
    now_.rest.clear();
}

void LineRing::add(std::string_view line) {
    if (lines_.size() == capacity) lines_.pop_front();
    lines_.emplace_back(line);
}

std::vector<std::string> LineRing::last(std::size_t count) const {
    const auto from = lines_.end() - static_cast<std::ptrdiff_t>(std::min(count, lines_.size()));
    return {from, lines_.end()};
}

std::string format_line(const LineOrigin& origin, std::string_view line, bool json,
                        std::chrono::system_clock::time_point time) {
    if (!json) return fmt::format("[{} {}] {}\n", origin.worker, origin.pid, line);
    const auto whole = std::chrono::floor<std::chrono::milliseconds>(time);
    std::string out = fmt::format(R"({{"ts":"{:%Y-%m-%dT%H:%M:%S}Z","level":"info","event":"worker_output","pool":)",
                                  fmt::gmtime(std::chrono::system_clock::to_time_t(whole)));
    out.insert(out.find("Z\""), fmt::format(".{:03}", whole.time_since_epoch().count() % 1000));
    out += config::json_string(origin.pool) + ",\"worker\":" + config::json_string(origin.worker);
    out += fmt::format(R"(,"pid":{},"stream":"{}","line":)", origin.pid, origin.is_error ? "stderr" : "stdout");
    out += config::json_string(line) + "}\n";
    return out;
}

struct LogPipe::Reader : std::enable_shared_from_this<LogPipe::Reader> {
    Reader(boost::asio::io_context& loop, int fd, LineSplitter::Take out) : stream(loop, fd), take(std::move(out)) {}

    // Reads at most `limit` bytes. False when nothing more will come.
    bool read(std::size_t limit) {
        std::array<char, 16 * 1024> bytes;
        for (std::size_t done = 0; done < limit;) {
            const ssize_t size = ::read(stream.native_handle(), bytes.data(), bytes.size());
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) return errno == EAGAIN;
            if (size == 0) return false;
            done += static_cast<std::size_t>(size);
            splitter.feed({bytes.data(), static_cast<std::size_t>(size)}, take);
        }
        return true;
    }
    void wait() {
        stream.async_wait(stream.wait_read, [self = shared_from_this()](boost::system::error_code error) {
            if (error || !self->stream.is_open()) return;
            if (self->read(turn_bytes)) return self->wait();
            self->end();
        });
    }
    void end() {
        if (!stream.is_open()) return;
        splitter.finish(take);
        stream.close();
    }

    boost::asio::posix::stream_descriptor stream;
    LineSplitter splitter;
    LineSplitter::Take take;
};

LogPipe::LogPipe(boost::asio::io_context& loop, io::UniqueFd fd, LineSplitter::Take take, LineSplitter::Memory begun)
    : reader_(std::make_shared<Reader>(loop, fd.release(), std::move(take))) {
    reader_->splitter.recall(std::move(begun));
    reader_->wait();
}

int LogPipe::fd() const {
    return reader_->stream.is_open() ? reader_->stream.native_handle() : -1;
}

const LineSplitter::Memory& LogPipe::memory() const {
    return reader_->splitter.memory();
}

LogPipe::~LogPipe() {
    finish();
}

void LogPipe::finish() {
    if (!reader_->stream.is_open()) return;
    reader_->read(finish_bytes);
    reader_->end();
}

std::pair<io::UniqueFd, io::UniqueFd> make_log_pipe() {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    std::pair<io::UniqueFd, io::UniqueFd> pipe{io::UniqueFd(ends[0]), io::UniqueFd(ends[1])};
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return pipe;
}

}  // namespace edgeproxy::master
