// SPDX-License-Identifier: Apache-2.0
#include "support.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/host.hpp"

namespace edgeproxy::master {

bool within(double seconds, const std::function<bool()>& ask) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    constexpr int pause_ms = 5;
    while (!ask()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, pause_ms);
    }
    return true;
}

Scratch::Scratch() {
    char name[] = "/tmp/epm-XXXXXX";
    path_ = ::mkdtemp(name);
}

Scratch::~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

std::size_t count_in(const std::string& path, const std::string& word) {
    const std::string text = read_file(path);
    std::size_t count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

bool is_running(int pid) {
    const std::string fields = config::stat_fields(std::to_string(pid));
    return !fields.empty() && !fields.starts_with('Z');
}

io::SocketAddress loopback(std::uint16_t port) {
    return io::SocketAddress::from_literal({config::Address::Kind::tcp, "127.0.0.1", port});
}

io::SocketAddress unix_address(const std::string& path) {
    return io::SocketAddress::from_literal({config::Address::Kind::unix_path, path, 0});
}

int in_child(const std::function<int()>& body, double seconds) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(body());
    int status = 0;
    const bool ended = within(seconds, [&] { return ::waitpid(pid, &status, WNOHANG) == pid; });
    if (ended) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    return -1;
}

}  // namespace edgeproxy::master
