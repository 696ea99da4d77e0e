// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "proxy/http/http1_reader.hpp"
#include "proxy/rewrite.hpp"

// A request head as a client sends it; the first byte chooses the rules. Whatever passes, no name that only edgeproxy
// or the server may write reaches the endpoint in any spelling that some server takes for it, and what is written reads
// back as one request with the same target.
namespace {

using namespace edgeproxy;

void must(bool holds) {
    if (!holds) std::abort();
}

/// As WSGI and CGI see a name.
std::string seen_by_servers(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out += letter ? static_cast<char>(c | 0x20) : '-';
    }
    return out;
}

bool is_forbidden(const std::string& name) {
    constexpr std::array<std::string_view, 22> names{
        "proxy",          "script-name",         "path-info",        "remote-user", "daphne-root-path",
        "x-original-url", "x-rewrite-url",       "x-script-name",    "x-real-ip",   "x-client-ip",
        "true-client-ip", "forwarded",           "cf-connecting-ip", "keep-alive",  "proxy-connection",
        "http2-settings", "proxy-authorization", "trailer",          "upgrade",     "transfer-encoding",
        "content-length", "x-request-id"};
    constexpr std::array<std::string_view, 5> families{"x-forwarded-", "x-accel-", "x-sendfile", "x-edgeproxy-",
                                                       "ssl-client-"};
    return std::find(names.begin(), names.end(), name) != names.end() ||
           std::any_of(families.begin(), families.end(), [&](std::string_view f) { return name.starts_with(f); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const unsigned how = data[0];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    static const auto request = std::make_unique<http::Request>();
    http::RequestReader reader;
    if (reader.read(bytes, *request).status != http::ReadResult::Status::complete) return 0;

    proxy::RewriteRules rules;
    rules.request_id = (how & 1) != 0 ? "X-Request-ID" : "";
    rules.via = (how & 2) != 0 ? "edgeproxy" : "";
    rules.pass_underscores = (how & 4) != 0;
    rules.strip_prefix = (how & 8) != 0 ? "/a" : "";
    proxy::Arrival arrival;
    arrival.peer.is_ip = true;
    arrival.peer.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
    arrival.local_port = "443";
    proxy::Identity identity;
    proxy::identify(*request, arrival, {}, rules.request_id, identity);
    std::string space(128 * 1024, '\0'), scratch(bytes.size() + 1, '\0');
    http::HeadWriter out{space};
    proxy::write_request_head(out, *request, rules, identity, "id", "endpoint.test", {request->body, false}, scratch);
    must(!out.overflowed());

    static const auto again = std::make_unique<http::Request>();
    const http::Limits wide{
        .request_line = 65536, .header_bytes = 131072, .field = 65536, .fields = 120, .upgrade_obs_text = true};
    http::RequestReader second(wide);
    const http::ReadResult read = second.read(out.text(), *again);
    must(read.status == http::ReadResult::Status::complete && read.head_size == out.text().size());
    must(again->method_text == request->method_text && again->body == request->body);
    if (rules.strip_prefix.empty()) must(again->target == request->target);

    std::map<std::string, int> ours;
    for (const http::Field& field : again->fields) {
        const std::string name = seen_by_servers(field.name);
        if (!is_forbidden(name)) continue;
        must(field.name.find('_') == std::string_view::npos);
        ++ours[name];
        if (name == "x-forwarded-for") must(field.value == "192.0.2.1");
        if (name == "x-forwarded-proto") must(field.value == "http");
        if (name == "x-request-id") must(field.value == "id");
        if (name == "upgrade") must(request->websocket);
    }
    for (const auto& [name, count] : ours) {
        must(count == 1);
        must(name == "x-forwarded-for" || name == "x-forwarded-proto" || name == "x-forwarded-host" ||
             name == "x-forwarded-port" || name == "x-forwarded-prefix" || name == "x-request-id" ||
             name == "content-length" || name == "transfer-encoding" || name == "upgrade");
    }
    must(ours["x-forwarded-for"] == 1 && again->fields.count(http::FieldId::host) == 1);
    return 0;
}
