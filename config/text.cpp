// SPDX-License-Identifier: Apache-2.0
#include "config/text.hpp"

namespace edgeproxy::config {

std::string in_quotes(std::string_view text) {
    return '"' + std::string(text) + '"';
}

std::string counted(std::size_t number, std::string_view noun) {
    return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

}  // namespace edgeproxy::config
