// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/connection_options.hpp"

#include <new>

namespace edgeproxy::http {

bool ConnectionOptions::take(std::string_view option) {
    if (option.empty()) return true;  // empty list elements are legal
    if (iequals(option, "close")) return close = true;
    if (iequals(option, "keep-alive")) return keep_alive = true;
    if (iequals(option, "upgrade")) return upgrade = true;
    if (!is_token(option)) return false;
    const FieldId id = lookup(option);
    if (has_trait(id, protected_from_connection)) ++ignored;
    if (has_trait(id, hop_by_hop | protected_from_connection)) return true;
    if (count_ == max_names) return false;
    ::new (&names_.list[count_++]) std::string_view(option);
    return true;
}

errc ConnectionOptions::read(const Fields& fields) {
    clear();
    if (!fields.has(FieldId::connection)) return errc::ok;
    const std::string_view usual = fields.value(FieldId::connection);
    if (!fields.repeated(FieldId::connection)) {  // what nearly everybody writes, without taking it apart
        if (usual == "keep-alive") {
            keep_alive = true;
            return errc::ok;
        }
        if (usual == "close") {
            close = true;
            return errc::ok;
        }
    }
    for (const Field& field : fields) {
        if (field.id != FieldId::connection) continue;
        if (!for_each_element(field.value, [this](std::string_view option) { return take(option); })) {
            return errc::bad_connection;
        }
    }
    return errc::ok;
}

bool ConnectionOptions::nominates(std::string_view name) const {
    for (std::string_view nominated : names()) {
        if (iequals(nominated, name)) return true;
    }
    return false;
}

}  // namespace edgeproxy::http
