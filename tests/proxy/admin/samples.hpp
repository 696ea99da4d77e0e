// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/admin/exchange_record.hpp"

namespace edgeproxy::admin::test {

/// A GET of /items/7 over HTTP/2 and TLS that worker web-2 answered with 200 in 12.4 ms. Views are literals.
inline ExchangeRecord sample_record() {
    using namespace std::chrono_literals;
    ExchangeRecord record;
    record.listener = "https";
    record.route = "api";
    record.pool = "web";
    record.endpoint = "web-2";
    record.client_ip = "203.0.113.9";
    record.peer = "203.0.113.9:5123";
    record.protocol = http::Version::h2;
    record.tls_version = "TLSv1.3";
    record.method = http::Method::get;
    record.method_text = "GET";
    record.scheme = "https";
    record.host = "example.com";
    record.path = "/items/7";
    record.request_id = "0123456789abcdef";
    record.user_agent = "curl/8.5.0";
    record.status = 200;
    record.attempts = 1;
    record.upstream_status = 200;
    record.bytes_out = 512;
    record.start = std::chrono::system_clock::time_point{1795372262s + 5ms};
    record.total = 12'400us;
    record.queue = 100us;
    record.connect = 50us;
    record.upstream = 12'100us;
    record.upstream_whole = 12'150us;
    return record;
}

}  // namespace edgeproxy::admin::test
