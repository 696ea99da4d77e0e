// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>

#include "proxy/http/proxy_protocol.hpp"

// Whatever arrives in whatever pieces: one verdict, never more than the limits, nothing read beyond the header.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace edgeproxy::http;
    using Status = ProxyHeaderResult::Status;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    ProxyHeader whole;
    const ProxyHeaderResult verdict = read_proxy_header(bytes, whole);
    if (verdict.size > max_proxy_v2 || verdict.size > size) std::abort();
    if (verdict.status == Status::incomplete && size >= max_proxy_v2) std::abort();
    if ((verdict.status == Status::complete) != (verdict.size > 0)) std::abort();
    for (std::size_t cut = 0; cut < size; ++cut) {
        ProxyHeader part;
        const ProxyHeaderResult early = read_proxy_header(bytes.substr(0, cut), part);
        if (early.status == Status::incomplete) continue;
        if (early.status != verdict.status || early.size != verdict.size || !(part == whole)) std::abort();
        if (early.status == Status::complete && cut < verdict.size) std::abort();
    }
    return 0;
}
