// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "config/problem.hpp"

namespace edgeproxy::config {

inline constexpr std::size_t largest_env_file = 1024 * 1024;  ///< bytes

/// Reads lines like docker-compose's `env_file`: `NAME=value`, `export NAME=value`, `# comment`, empty lines. In
/// 'single quotes' everything is literal, in "double quotes" \n \t \r \" \\ \$ are escapes; both may span lines.
/// Without quotes the value ends at ` #` or the end of the line, blanks around it are cut. A `$` is a dollar: files
/// with passwords must not need escapes. Later lines win over earlier ones and over what `environment` holds already.
void read_env_text(std::string_view text, const std::string& name, std::map<std::string, std::string>& environment,
                   Problems& problems);

/// The same from a file; not readable or too large is an error at `place` of the stack file.
void read_env_file(const std::string& path, Place place, std::map<std::string, std::string>& environment,
                   Problems& problems);

}  // namespace edgeproxy::config
