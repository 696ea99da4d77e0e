// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/ask.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "config/host.hpp"
#include "config/load.hpp"
#include "config/units.hpp"
#include "proxy/cli/check.hpp"
#include "tls/io/fd.hpp"
#include "upstream/control/command.hpp"
#include "upstream/control/exit_code.hpp"

namespace edgeproxy::cli {

namespace {

using control::ExitCode;
using control::Piece;

std::optional<std::string> variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
}

control::Request request_of(const CommandLine& command) {
    control::Request request;
    request.verb = static_cast<control::CommandVerb>(static_cast<int>(command.verb) - static_cast<int>(Verb::status));
    request.json = command.json;
    request.dry_run = command.dry_run;
    request.now = command.now;
    request.pool = command.pool;
    request.worker = command.worker;
    request.count = command.count;
    return request;
}

/// Null, with errno, when nobody listens there.
io::UniqueFd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return {};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    io::UniqueFd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return fd;
}

/// The longest wait for an answer, from when it is made.
class Patience {
 public:
    explicit Patience(std::optional<config::Duration> length) : length_(length), begun_(Clock::now()) {}

    /// False when the time is over and nothing has come.
    bool holds(int fd) const {
        if (!length_) return true;  // recv waits
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(begun_ + *length_ - Clock::now());
        constexpr std::chrono::milliseconds longest{3'600'000};
        pollfd wanted{fd, POLLIN, 0};
        const auto wait = std::clamp(left, std::chrono::milliseconds(0), longest);
        const int found = ::poll(&wanted, 1, static_cast<int>(wait.count()));
        return found > 0 || (found < 0 && errno == EINTR) || left > longest;
    }
    std::string words() const { return config::format_duration(*length_); }

 private:
    using Clock = std::chrono::steady_clock;
    const std::optional<config::Duration> length_;
    const Clock::time_point begun_;
};

/// Who listens at the other end; null when the kernel does not tell.
io::UniqueFd process_of(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return {};
    return io::UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0))};
}

/// The channel ends some milliseconds before the process does, and whoever asked for a stop may start the next one at
/// once.
void await_end(const io::UniqueFd& process) {
    if (!process) return;
    constexpr int longest_ms = 2000;
    pollfd ended{process.get(), POLLIN, 0};
    ::poll(&ended, 1, longest_ms);
}

int read_answer(int fd, const Patience& patience, std::ostream& out, std::ostream& err) {
    const io::UniqueFd process = process_of(fd);
    bool leaving = false;
    for (;;) {
        if (!patience.holds(fd)) {
            err << "edgeproxy: no verdict within " << patience.words()
                << "; it goes on, and edgeproxy status tells how it ends\n";
            return ExitCode::undecided;
        }
        std::array<char, control::max_command> record;
        const ssize_t size = ::recv(fd, record.data(), record.size(), 0);
        // A reset is told once, before what the other end had said until then.
        if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
        if (size <= 0) break;
        const auto piece = control::decode_piece({record.data(), static_cast<std::size_t>(size)});
        if (!piece) {
            err << "edgeproxy: the running one answers in a way that this version does not understand\n";
            return ExitCode::failed;
        }
        if (piece->kind == Piece::Kind::done) return piece->exit_code;
        if (piece->kind == Piece::Kind::leaving) leaving = true;
        (piece->kind == Piece::Kind::result ? out : err) << piece->text << std::flush;
    }
    if (leaving) {
        await_end(process);
        return ExitCode::done;
    }
    err << "edgeproxy: the running one ended before it had answered\n";
    return ExitCode::failed;
}

}  // namespace

std::string written_runtime_dir(std::string_view text) {
    constexpr std::string_view key = "runtime_dir:";
    for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
        const std::size_t line = text.rfind('\n', at) + 1;  // npos + 1 = 0: the first line
        if (text.substr(line, at - line).find_first_not_of(" {") != std::string_view::npos &&
            text.substr(line, at - line).find("server:") == std::string_view::npos)
            continue;
        std::string_view value = text.substr(at + key.size());
        value = value.substr(0, value.find_first_of("\n#,}"));
        const std::size_t from = value.find_first_not_of(" \t\"'"), to = value.find_last_not_of(" \t\r\"'");
        if (from == std::string_view::npos) continue;
        return std::string(value.substr(from, to - from + 1));
    }
    return {};
}

Addressee find_addressee(const CommandLine& command) {
    if (!command.control.empty()) return {command.control, {}, {}};
    Addressee out;
    out.file = command.config;
    std::string directory;
    if (const auto file = config_file(command)) {
        config::LoadOptions options;
        options.read_env_files = false;
        const config::LoadResult loaded = config::load_file(*file, options);
        directory = loaded.config ? loaded.config->server.runtime_dir : written_runtime_dir(loaded.source);
        const bool filled_in = directory.find("${") == std::string::npos;
        const bool to_be_seen = loaded.config || (filled_in && (!loaded.places.empty() || !directory.empty()));
        if (!to_be_seen && !out.file.empty()) return {{}, out.file, describe_problems(loaded)};
        if (!directory.empty() && directory.front() != '/') {
            const auto base = std::filesystem::absolute(*file).parent_path();
            directory = (base / directory).lexically_normal().string();
        }
    }
    if (directory.empty()) directory = config::runtime_dir_for(::geteuid(), variable);
    out.socket = directory + "/" + control::control_socket;
    return out;
}

std::string not_meant(const control::Holder& holder, const Addressee& wanted) {
    if (wanted.file.empty() || holder.runs.empty()) return {};
    if (control::is_file(holder.runs) && control::is_same_file(holder.runs, wanted.file)) return {};
    const bool named = control::is_file(holder.runs);
    return "no running edgeproxy has " + wanted.file + ": at " + wanted.socket + " is pid " +
           std::to_string(holder.pid) + ", which runs " + (named ? "with " : "as ") + holder.runs +
           (named ? "; name that file, or start yours with a server.runtime_dir of its own"
                  : "; leave -c out and name its socket by --control " + wanted.socket);
}

int ask(const CommandLine& command, std::ostream& out, std::ostream& err) {
    const Addressee to = find_addressee(command);
    const std::string& path = to.socket;
    if (path.empty()) {
        err << to.problems << "edgeproxy: " << to.file
            << " does not tell which edgeproxy is meant; mend it, or name the running one by --control SOCKET\n";
        return ExitCode::bad_config;
    }
    const auto request = control::encode(request_of(command));
    if (!request) {
        err << "edgeproxy: that name is too long\n";
        return ExitCode::usage;
    }
    const io::UniqueFd fd = connect_to(path);
    if (!fd && (errno == EACCES || errno == EPERM)) {
        err << "edgeproxy: only root and the user of the running edgeproxy may use " << path << '\n';
        return ExitCode::refused;
    }
    if (!fd) {
        err << "edgeproxy: no running edgeproxy found at " << path << " (" << std::strerror(errno)
            << "); start it with edgeproxy -c FILE, or name another with --control\n";
        return ExitCode::nobody;
    }
    const auto lock = std::filesystem::path(path).replace_filename(control::lock_file);
    if (const std::string why = not_meant(control::read_holder(lock), to); !why.empty()) {
        err << "edgeproxy: " << why << '\n';
        return ExitCode::nobody;
    }
    // It may have answered and closed already ("too many"): what it said is read all the same.
    ::send(fd.get(), request->data(), request->size(), MSG_NOSIGNAL);
    return read_answer(fd.get(), Patience(command.timeout), out, err);
}

}  // namespace edgeproxy::cli
