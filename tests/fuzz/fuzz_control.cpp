// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <cstdlib>

#include "upstream/control/message.hpp"

// The first byte says how many descriptors come with the record. What decodes must encode to the same bytes again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace edgeproxy;
    if (size == 0) return 0;
    std::vector<io::UniqueFd> fds;
    for (int i = 0; i < data[0] % 4; ++i) fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::span<const char> bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    auto message = control::decode(bytes, std::move(fds));
    if (!message) return 0;
    auto encoded = control::encode(std::move(*message));
    if (!encoded || encoded->bytes != std::string(bytes.begin(), bytes.end())) std::abort();
    return 0;
}
