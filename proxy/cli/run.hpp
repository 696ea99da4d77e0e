// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::cli {

/// What `edgeproxy run` was asked for: production without a file.
struct RunOptions {
    std::vector<std::string> command;  ///< behind `--`
    std::vector<std::string> listen;   ///< empty = :8443 with TLS, :8080 without
    std::string workers;               ///< a count or `auto`; empty = the default of a pool
    std::string health, metrics;       ///< a path; an address or `off`; empty = the default
    std::string cert, key;
    std::string runtime_dir;  ///< empty = the default of server.runtime_dir
    bool tls_dev = false;
    bool print_config = false;
    bool help = false;

    bool operator==(const RunOptions&) const = default;
};

struct ParsedRun {
    RunOptions options;
    std::string complaint, hint;
};
ParsedRun parse_run(std::span<const std::string> words);

/// The stack.yaml that it stands for. `folder`: the working directory of the workers. Pure.
std::string run_stack(const RunOptions& options, const std::string& folder);

inline constexpr std::string_view run_help = R"(  edgeproxy run -- uvicorn main:app
  edgeproxy run -w 4 --listen :8443 --tls dev -- uvicorn main:app
  edgeproxy run --cert full.pem --key key.pem --health /healthz -- gunicorn app:app

Serves what the command starts, without a file. For what it cannot say, begin with
the file that --print-config writes.

  -w, --workers N|auto        1
  --listen ADDRESS            :8080, or :8443 with TLS; may be given more than once
  --tls dev                   a development certificate
  --cert FILE, --key FILE     a certificate
  --health PATH               probes each worker there
  --metrics ADDRESS|off       127.0.0.1:9900
  --runtime-dir DIRECTORY     its own, where several run; commands find it by
                              --control DIRECTORY/control.sock
  --print-config              the stack.yaml that this is
)";

}  // namespace edgeproxy::cli
