// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "proxy/admin/exchange_record.hpp"
#include "proxy/admin/time_text.hpp"

namespace edgeproxy::admin {

/// Makes one line of access log, with its '\n', out of a record. Secrets in queries are hidden and every text is
/// escaped, whatever the format. One thread: it keeps the time of the current second and a scratch buffer.
class AccessLines {
 public:
    /// One flat JSON object; keys always in this order, texts that are empty left out, numbers always there (`status`
    /// is null when the client was gone):
    ///   ts request_id trace_id client_ip peer listener route protocol tls tls_resumed method scheme host path query
    ///   status error bytes_in bytes_out duration_ms queue_ms connect_ms upstream_ms overhead_ms pool endpoint attempts
    ///   upstream_status referer user_agent websocket
    void append_json(std::string& out, const ExchangeRecord& record);

    /// nginx's `combined`, byte for byte; a client that left is 499, as there.
    void append_combined(std::string& out, const ExchangeRecord& record);

    /// For people: "18:31:02 GET  /items/7        200  12.4ms (app 12.1)  web-2  h2  203.0.113.9", coloured by status.
    /// Without `time` where the journal adds its own.
    void append_console(std::string& out, const ExchangeRecord& record, bool colour, bool time);

 private:
    std::string_view redacted_query(const ExchangeRecord& record);

    TimeText time_;
    std::string scratch_;
};

/// Whether the access log leaves out this path: equal to an entry of `logging.access.exclude`, or below it by segment
/// ("/health" is "/health" and "/health/x", not "/healthz"); "=/x" is only itself.
bool is_excluded(std::string_view path, const std::vector<std::string>& exclude);

}  // namespace edgeproxy::admin
