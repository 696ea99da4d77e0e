// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>

namespace edgeproxy::cli {

/// `edgeproxy cert trust [-c FILE]`: makes the development certificates if there are none yet, and prints what makes
/// this machine believe their authority. Runs nothing of it. Returns the exit code.
int run_cert(std::span<const std::string> words, std::ostream& out, std::ostream& err);

inline constexpr std::string_view cert_help =
    R"(  edgeproxy cert trust          print the commands that make browsers and tools
                                believe the certificate of `tls: dev` and of dev
  -c, --config FILE             for its server.state_dir
)";

}  // namespace edgeproxy::cli
