// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "proxy/http/http1_reader.hpp"
#include "proxy/http/http2_head.hpp"
#include "proxy/rewrite.hpp"

// Lines `name<TAB>value` are the fields of an HTTP/2 request. If it is accepted, the HTTP/1.1 head that the endpoint
// gets reads back as one request with the same meaning, and holds no line that we did not write (CVE-2026-42926).
namespace {

using namespace edgeproxy;

void must(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const bool ended = (data[0] & 1) != 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    static const auto request = std::make_unique<http::Request>();
    const http::Limits limits;
    std::string memory(limits.head_size() * 2, '\0');
    http::Http2Head head;
    head.begin(*request, memory, limits);
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\x1e'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const std::size_t tab = line.find('\t');
        if (tab == std::string_view::npos) continue;
        if (head.add(line.substr(0, tab), line.substr(tab + 1)) != http::Http2Head::Taken::ok) return 0;
    }
    if (head.finish(ended) != http::errc::ok) return 0;
    if (request->websocket) head.give_websocket_key("AAAAAAAAAAAAAAAAAAAAAA==");

    proxy::RewriteRules rules;
    rules.request_id = "X-Request-ID";
    proxy::Arrival arrival;
    arrival.peer.is_ip = true;
    arrival.tls = true;
    arrival.local_port = "443";
    proxy::Identity identity;
    proxy::identify(*request, arrival, {}, rules.request_id, identity);
    std::string space(256 * 1024, '\0'), scratch(size + 1, '\0');
    http::HeadWriter out{space};
    proxy::write_request_head(out, *request, rules, identity, "id", "endpoint.test", {request->body, false}, scratch);
    must(!out.overflowed());

    static const auto again = std::make_unique<http::Request>();
    const http::Limits wide{.request_line = 65536,
                            .header_bytes = 262144,
                            .field = 131072,
                            .name = 512,
                            .fields = 120,
                            .upgrade_obs_text = true};
    http::RequestReader reader(wide);
    const http::ReadResult read = reader.read(out.text(), *again);
    must(read.status == http::ReadResult::Status::complete && read.head_size == out.text().size());
    must(again->method_text == request->method_text && again->target == request->target);
    must(again->authority == request->authority && again->body == request->body &&
         again->websocket == request->websocket);
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = out.text().find("\r\n", at)) != std::string_view::npos; at += 2) ++lines;
    must(lines == again->fields.size() + 2);
    must(out.text().find('\0') == std::string_view::npos);
    return 0;
}
