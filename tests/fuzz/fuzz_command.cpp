// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "upstream/control/command.hpp"

// What decodes, as a request or as a piece of an answer, must encode to the same bytes again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace edgeproxy;
    const std::span<const char> bytes(reinterpret_cast<const char*>(data), size);
    const std::string text(bytes.begin(), bytes.end());
    if (const auto request = control::decode_request(bytes); request && control::encode(*request) != text) std::abort();
    if (const auto piece = control::decode_piece(bytes); piece && control::encode(*piece) != text) std::abort();
    return 0;
}
