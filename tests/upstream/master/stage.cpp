// SPDX-License-Identifier: Apache-2.0
#include "stage.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "upstream/master/supervisor.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

std::string format(const config::LogRecord& record, bool) {
    std::string out = std::string(config::to_word(record.level)) + " " + record.event + " " + record.text;
    for (const config::LogField& field : record.fields) {
        out += " " + field.key + "=";
        std::visit(
            [&](const auto& value) {
                std::ostringstream text;
                text << value;
                out += text.str();
            },
            field.value);
    }
    return out + "\n";
}

}  // namespace

Stage::Stage(std::vector<std::string> proxy_words) : words_(std::move(proxy_words)) {
    config::Listener listener;
    listener.name = "http";
    listener.addresses = {{config::Address::Kind::tcp, "127.0.0.1", 0}};
    listener.protocols = {config::Protocol::http1};
    listener.backlog = 64;
    config.listeners.push_back(listener);
    config.metrics.enabled = false;
    config.server.threads = 1;
    config.server.runtime_dir = scratch.path("run");
    config.server.shutdown.grace_period = 20s;
    config.logging.output = scratch.path("log");
    config.logging.format = config::LogFormat::console;
    config.logging.access.enabled = false;
}

Stage::~Stage() {
    if (pid_ <= 0 || code_) return;
    const std::vector<int> below = descendants();
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int pid : below) ::kill(pid, SIGKILL);
}

config::Pool& Stage::add_pool(const std::string& name, std::vector<std::string> command, unsigned workers) {
    config::Pool pool;
    pool.name = name;
    pool.managed = true;
    pool.command.argv = std::move(command);
    pool.command.stop_signal = "TERM";
    pool.command.bind = config::Bind::fd;
    pool.command.working_dir = scratch.path();
    pool.workers = workers;
    pool.start_timeout = 60s;
    pool.start_parallel = 2;
    pool.drain_timeout = 5s;
    pool.stop_grace_period = 5s;
    pool.restart = {10ms, 50ms, 5, 60s};
    pool.hang = {100ms, 200ms};
    config.pools.push_back(pool);
    return config.pools.back();
}

config::Pool& Stage::add_script(const std::string& name, const std::string& script, unsigned workers) {
    return add_pool(name, {"/bin/sh", "-c", script}, workers);
}

void Stage::start() {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setpgid(0, 0);
    MasterOptions options;
    options.config_name = "stack.yaml";
    options.format = format;
    options.proxy_program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fake_proxy";
    options.proxy_arguments = {"fake_proxy", scratch.path("journal"), scratch.path("config")};
    options.proxy_arguments.insert(options.proxy_arguments.end(), words_.begin(), words_.end());
    config::Log log(config::LogLevel::debug);
    ::_exit(run_master(options, std::make_shared<const config::Config>(config), log));
}

void Stage::signal(int number) const {
    ::kill(pid_, number);
}

std::optional<int> Stage::exit_code(double seconds) {
    if (code_) return code_;
    int status = 0;
    if (!within(seconds, [&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return std::nullopt;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
}

bool Stage::heard(const std::string& words, double seconds) const {
    return within(seconds, [&] { return journal().find(words) != std::string::npos; });
}

bool Stage::logged(const std::string& words, double seconds) const {
    return within(seconds, [&] { return log().find(words) != std::string::npos; });
}

int Stage::worker(int incarnation) const {
    std::istringstream lines(journal());
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string kind, pool;
        int slot = 0, number = 0, pid = 0;
        if (words >> kind >> pool >> slot >> number >> pid && kind == "up" && number == incarnation) return pid;
    }
    return 0;
}

int Stage::proxy() const {
    const std::string text = journal();
    const std::size_t at = text.rfind("proxy ");
    return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + 6);
}

std::vector<int> Stage::descendants() const {
    return descendants_of(pid_);
}

std::vector<int> descendants_of(int pid) {
    std::vector<int> found{pid};
    for (std::size_t i = 0; i < found.size(); ++i) {
        const std::string one = std::to_string(found[i]);
        std::ifstream children("/proc/" + one + "/task/" + one + "/children");
        for (int child = 0; children >> child;) found.push_back(child);
    }
    found.erase(found.begin());
    return found;
}

std::string python_program(const std::string& name) {
    const char* const root = std::getenv("EDGEPROXY_ROOT");  // ctest sets it
    for (auto folder = std::filesystem::path(root != nullptr ? root : __FILE__); folder.has_relative_path();
         folder = folder.parent_path()) {
        const auto program = folder / "build/venv/bin" / name;
        if (std::filesystem::exists(program)) return program;
    }
    return {};
}

}  // namespace edgeproxy::master
