// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/check_child.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>

#include "config/load.hpp"
#include "upstream/master/process.hpp"

namespace edgeproxy::master {
namespace {

constexpr int valid = 0, invalid = 3, broken = 1;

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

// A line with the size of the problems, the problems, the plan.
int run(int fd, const std::function<Checked()>& load) {
    try {
        const Checked checked = load();
        const std::string head = fmt::format("{}\n", checked.problems.size());
        const std::string plan = checked.config ? config::to_yaml(*checked.config, {}) : std::string();
        if (!write_all(fd, head) || !write_all(fd, checked.problems) || !write_all(fd, plan)) return broken;
        return checked.config ? valid : invalid;
    } catch (const std::exception&) {
        return broken;
    }
}

std::optional<std::string> read_all(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || static_cast<std::size_t>(status.st_size) > CheckChild::largest)
        return std::nullopt;
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t n = ::pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (n <= 0) return std::nullopt;
        done += static_cast<std::size_t>(n);
    }
    return text;
}

Checked failed(const std::string& why) {
    return {nullptr, "edgeproxy: " + why + "\n"};
}

Checked parse(const std::string& text, bool is_valid) {
    const std::size_t line = text.find('\n');
    const std::size_t size = line == std::string::npos ? 0 : std::strtoull(text.c_str(), nullptr, 10);
    if (line == std::string::npos || size > text.size() - line - 1) return failed("the check of the file said nothing");
    Checked out{nullptr, text.substr(line + 1, size)};
    if (!is_valid) return out;
    config::LoadOptions options;
    options.internal = true;  // a pool's command may be empty only there; everything else is as strict
    const config::LoadResult loaded =
        config::load_text(std::string_view(text).substr(line + 1 + size), "configuration", options);
    if (loaded.config) return {loaded.config, std::move(out.problems)};
    return failed("the checked configuration does not read back: " +
                  (loaded.problems.empty() ? std::string("no reason") : config::headline(loaded.problems.front())));
}

}  // namespace

bool CheckChild::start(const std::function<Checked()>& load) {
    result_.reset(::memfd_create("checked", MFD_CLOEXEC));
    if (!result_) return false;
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    pid_ = ::fork();
    if (pid_ == 0) {
        // The master's handlers write to a pipe that the child shares: no signal may reach them here.
        for (int number = 1; number < 32; ++number) ::signal(number, SIG_DFL);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "edgeproxy-check");
        ::setpgid(0, 0);  // a terminal's Ctrl-C is for the master
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        ::_exit(run(result_.get(), load));
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return pid_ > 0;
}

void CheckChild::kill() const {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::optional<Checked> CheckChild::on_exit(pid_t pid, int status) {
    if (pid_ <= 0 || pid != pid_) return std::nullopt;
    pid_ = -1;
    const io::UniqueFd result = std::move(result_);
    if (!WIFEXITED(status)) return failed("the check of the file ended: " + describe_exit(status));
    const int code = WEXITSTATUS(status);
    const auto text = read_all(result.get());
    if (!text || (code != valid && code != invalid)) return failed("the check of the file failed");
    return parse(*text, code == valid);
}

}  // namespace edgeproxy::master
