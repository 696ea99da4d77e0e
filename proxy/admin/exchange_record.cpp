// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/exchange_record.hpp"

#include <array>

namespace edgeproxy::admin {

KeptRecord::KeptRecord(const ExchangeRecord& from) : record(from) {
    // Those that do not live as long as the program.
    const std::array views{&record.endpoint,    &record.client_ip, &record.peer,    &record.client_cert,
                           &record.method_text, &record.host,      &record.path,    &record.query,
                           &record.request_id,  &record.trace_id,  &record.referer, &record.user_agent};
    std::size_t size = 0;
    for (const std::string_view* view : views) size += view->size();
    texts_.reserve(size);
    for (const std::string_view* view : views) texts_ += *view;
    std::size_t at = 0;
    for (std::string_view* view : views) {
        *view = std::string_view(texts_).substr(at, view->size());
        at += view->size();
    }
}

}  // namespace edgeproxy::admin
