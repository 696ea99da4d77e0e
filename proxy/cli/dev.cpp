// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/dev.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "config/config.hpp"
#include "config/text.hpp"
#include "proxy/cli/arguments.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::cli {

namespace {

using config::in_quotes;

constexpr unsigned redirect_port = 8080, metrics_port = 9900;
constexpr unsigned highest_port = 65535;

bool is_free(unsigned port) {
    const io::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = ::htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
           ::listen(fd.get(), 1) == 0;
}

std::string address(const DevOptions& options, unsigned port) {
    const bool brackets = options.host.find(':') != std::string::npos;
    return yaml_text((brackets ? "[" + options.host + "]" : options.host) + ":" + std::to_string(port));
}

void option(Arguments& arguments, DevOptions& out, const std::string& word) {
    if (word == "--help" || word == "-h") {
        out.help = true;
    } else if (word == "--no-tls") {
        out.tls = false;
    } else if (word == "--print-config") {
        out.print_config = true;
    } else if (word == "--port" || word == "-p") {
        out.port = arguments.count(1, highest_port);
    } else if (word == "--host") {
        out.host = arguments.value();
    } else if (word == "--workers" || word == "-w") {
        out.workers = arguments.count(1, config::most_workers);
    } else if (word == "--watch") {
        out.patterns.push_back(arguments.value());
    } else if (word.starts_with('-')) {
        arguments.complain("unknown option " + in_quotes(word) + " of dev", "edgeproxy dev --help tells those it has");
    } else if (out.target.empty()) {
        out.target = word;
    } else {
        arguments.complain("unexpected argument " + in_quotes(word), "a command of your own stands behind --");
    }
}

}  // namespace

ParsedDev parse_dev(std::span<const std::string> words) {
    ParsedDev out;
    Arguments arguments(words);
    while (const auto word = arguments.next()) option(arguments, out.options, *word);
    out.options.command = arguments.behind();
    if (!out.options.command.empty() && !out.options.target.empty())
        arguments.complain("an application and a command were named",
                           "leave " + in_quotes(out.options.target) + " out");
    out.complaint = arguments.complaint();
    out.hint = arguments.hint();
    return out;
}

DevPlace DevPlace::here(const DevOptions& options) {
    DevPlace out;
    out.folder = std::filesystem::current_path().string();
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    const char* temporary = std::getenv("TMPDIR");
    const std::string base = runtime != nullptr && *runtime == '/' ? runtime
                             : temporary != nullptr                ? temporary
                                                                   : "/tmp";
    out.runtime_dir =
        base + "/edgeproxy-dev-" + std::to_string(::geteuid()) + "-" + std::to_string(options.real_port());
    out.redirect = options.tls && options.port == 0 && is_free(redirect_port);
    out.metrics = is_free(metrics_port);
    return out;
}

std::string dev_stack(const DevOptions& options, const std::vector<std::string>& command, const DevPlace& place) {
    const unsigned port = options.real_port();
    std::string out = "listeners:\n";
    const char* name = options.tls ? "https" : "http";
    out += "  " + std::string(name) + ": { address: " + address(options, port) +
           ", tls: " + (options.tls ? "true" : "false") + " }\n";
    if (options.tls && place.redirect)
        out += "  http: { address: " + address(options, redirect_port) + ", redirect: \":" + std::to_string(port) +
               "\" }\n";
    if (options.tls) out += "tls: { dev: true }\n";
    out += "pools:\n  app:\n    command: " + yaml_list(command) + "\n";
    out += "    working_dir: " + yaml_text(place.folder) + "\n";
    out += "    workers: " + std::to_string(options.workers) + "\n";
    out += "    watch: " + (options.patterns.empty() ? std::string("true") : yaml_list(options.patterns)) + "\n";
    // An application that does not start yet is no reason to end: the next save may mend it.
    out += "    required: false\n    hold: 5m\n    drain_timeout: 2s\n    stop_grace_period: 2s\n";
    out += "error_pages: { details: true }\n";
    if (place.metrics) {
        out += "metrics: { listen: \"127.0.0.1:" + std::to_string(metrics_port) + "\" }\n";
    } else {
        out += "metrics: { enabled: false }\n";
    }
    out += "server: { runtime_dir: " + yaml_text(place.runtime_dir) + ", shutdown: { grace_period: 5s } }\n";
    return out;
}

}  // namespace edgeproxy::cli
