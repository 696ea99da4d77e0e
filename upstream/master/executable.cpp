// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/executable.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "upstream/master/process.hpp"

namespace edgeproxy::master {
namespace {

namespace fs = std::filesystem;

constexpr const char* running = "/proc/self/exe";

bool is_running_one(const fs::path& path) {
    const auto found = identify(path.string());
    return found && found == identify(running);
}

std::optional<fs::path> look_up(const std::string& name) {
    const char* const path = std::getenv("PATH");
    std::string_view rest = path != nullptr ? path : "";
    while (!rest.empty()) {
        const std::size_t colon = std::min(rest.find(':'), rest.size());
        const fs::path here = fs::path(rest.substr(0, colon)) / name;
        if (is_running_one(here)) return here;
        rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
    return std::nullopt;
}

bool set_close_on_exec(int fd, bool close) {
    return ::fcntl(fd, F_SETFD, close ? FD_CLOEXEC : 0) == 0;
}

std::string read_from_start(int fd, std::size_t limit) {
    std::string text(limit, '\0');
    const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

}  // namespace

std::string own_path(const std::string& argv0) {
    std::error_code error;
    std::optional<fs::path> found;
    if (argv0.find('/') != std::string::npos) {
        found = fs::absolute(argv0, error);
    } else {
        found = look_up(argv0);
    }
    if (found && is_running_one(*found)) return fs::absolute(*found, error).lexically_normal().string();
    const fs::path real = fs::read_symlink(running, error);
    return error ? std::string() : real.string();
}

std::optional<FileIdentity> identify(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return FileIdentity{status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                        status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

bool StateCheck::start(const std::string& program, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment, const io::UniqueFd& state, std::string& error) {
    said_.reset(::memfd_create("said", MFD_CLOEXEC));
    ProcessRequest request;
    request.program = program;
    request.argv = arguments;
    request.argv.push_back(std::string(check_state_option) + "3");
    request.environment = environment;
    request.pass = {state.get()};
    request.out = request.err = said_.get();
    request.death_signal = SIGKILL;
    StartFailure failure;
    const auto process = said_ ? start_process(request, failure) : std::nullopt;
    if (!process) {
        error = said_ ? fmt::format("{} cannot be started: {}", program, std::strerror(failure.error))
                      : std::string("no memory for what it says");
        return false;
    }
    pid_ = process->pid;
    return true;
}

void StateCheck::kill() const {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

std::optional<std::string> StateCheck::on_exit(pid_t pid, int status) {
    if (pid_ <= 0 || pid != pid_) return std::nullopt;
    pid_ = -1;
    const io::UniqueFd said = std::move(said_);
    std::string text = read_from_start(said.get(), largest_word);
    const bool accepted = text.find(state_accepted) != std::string::npos;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && accepted) return std::string();
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    const bool silent = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return text + (silent ? "the new program did not say that it accepts the state\n"
                          : fmt::format("the new program ended: {}\n", describe_exit(status)));
}

int become(const std::string& program, std::vector<std::string> arguments, const io::UniqueFd& state,
           const std::vector<int>& keep) {
    arguments.push_back(resume_state_option + std::to_string(state.get()));
    std::vector<char*> argv;
    for (std::string& word : arguments) argv.push_back(word.data());
    argv.push_back(nullptr);
    set_close_on_exec(state.get(), false);
    for (const int fd : keep) set_close_on_exec(fd, false);
    ::execve(program.c_str(), argv.data(), environ);
    const int error = errno;
    for (const int fd : keep) set_close_on_exec(fd, true);
    set_close_on_exec(state.get(), true);
    return error;
}

void hold_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

void allow_signals() {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace edgeproxy::master
