// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <ostream>
#include <string_view>

namespace edgeproxy::cli {

/// `--help`: three examples first, at most 24 lines of 80 characters.
void print_help(std::ostream& out);

/// `--version`: the first line is `edgeproxy X.Y.Z`, then what it was built with. `openssl` and `nghttp2` are the
/// versions that run.
void print_version(std::ostream& out, std::string_view openssl, std::string_view nghttp2);

}  // namespace edgeproxy::cli
