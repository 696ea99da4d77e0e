// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace edgeproxy::cli {

/// What `edgeproxy dev` was asked for.
struct DevOptions {
    std::string target{};                 ///< module:attribute; empty = looked for, unless there is a command
    std::vector<std::string> command{};   ///< behind `--`
    std::vector<std::string> patterns{};  ///< --watch; empty = **/*.py
    std::string host = "localhost";       ///< both loopbacks
    unsigned port = 0;                    ///< 0 = 8443 with TLS, 8080 without
    unsigned workers = 1;
    bool tls = true;
    bool print_config = false;  ///< print the stack.yaml that it stands for, start nothing
    bool help = false;

    bool operator==(const DevOptions&) const = default;
    unsigned real_port() const { return port != 0 ? port : tls ? 8443 : 8080; }
};

/// Options, or what is wrong with them.
struct ParsedDev {
    DevOptions options;
    std::string complaint, hint;
};
ParsedDev parse_dev(std::span<const std::string> words);

/// What the machine says about a place to develop in.
struct DevPlace {
    std::string folder;       ///< where the application is; absolute
    std::string runtime_dir;  ///< of this one: several may run beside each other
    bool redirect = false;    ///< port 8080 is free: http:// clients are sent to https
    bool metrics = false;     ///< port 9900 is free
    static DevPlace here(const DevOptions& options);
};

/// The stack.yaml that a development server is: one address, workers that are replaced when a file changes while
/// requests wait, pages that show the last lines of a worker that failed. Pure.
std::string dev_stack(const DevOptions& options, const std::vector<std::string>& command, const DevPlace& place);

inline constexpr std::string_view dev_help =
    R"(  edgeproxy dev                          serve the application in this folder
  edgeproxy dev main:app                 serve this one
  edgeproxy dev -- node server.js        serve what this starts, on $PORT

https://localhost:8443 with a certificate of its own, HTTP/2 and WebSocket. When a
file changes, the new code starts while requests wait for it; if it does not
start, they are answered with its last lines.

  --port N, --host ADDRESS    8443 on localhost; 8080 without TLS
  --no-tls                    plain HTTP
  -w, --workers N             1
  --watch PATTERN             **/*.py; may be given more than once
  --print-config              the stack.yaml that this is
)";

}  // namespace edgeproxy::cli
