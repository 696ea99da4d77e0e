// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

const Field* Fields::find_first(FieldId id) const {
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

}  // namespace edgeproxy::http
