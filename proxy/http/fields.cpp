// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

const Field* Fields::find(FieldId id) const {
    if (!has(id)) return nullptr;
    for (const Field& field : *this) {
        if (field.id == id) return &field;
    }
    return nullptr;
}

const Field* Fields::find(std::string_view name) const {
    for (const Field& field : *this) {
        if (iequals(field.name, name)) return &field;
    }
    return nullptr;
}

std::size_t Fields::count(FieldId id) const {
    if (!repeated(id)) return has(id) ? 1 : 0;
    std::size_t n = 0;
    for (const Field& field : *this) n += field.id == id ? 1 : 0;
    return n;
}

}  // namespace edgeproxy::http
