// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

/// Small turns of phrase that every message shares.
namespace edgeproxy::config {

/// `"text"`; nothing inside is escaped.
std::string in_quotes(std::string_view text);

/// `1 worker`, `3 workers`.
std::string counted(std::size_t number, std::string_view noun);

}  // namespace edgeproxy::config
