// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/exchange_record.hpp"

#include <array>

namespace edgeproxy::admin {

void keep_texts(ExchangeRecord& record, std::string& memory) {
    const std::array texts{&record.endpoint,    &record.client_ip, &record.peer,    &record.client_cert,
                           &record.method_text, &record.host,      &record.path,    &record.query,
                           &record.request_id,  &record.trace_id,  &record.referer, &record.user_agent};
    std::size_t size = 0;
    for (const std::string_view* text : texts) size += text->size();
    std::string kept;
    kept.reserve(size);
    for (const std::string_view* text : texts) kept += *text;
    memory = std::move(kept);
    std::size_t at = 0;
    for (std::string_view* text : texts) {
        *text = std::string_view(memory).substr(at, text->size());
        at += text->size();
    }
}

}  // namespace edgeproxy::admin
