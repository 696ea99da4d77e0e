// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/field_id.hpp"

#include <array>

#include "proxy/http/field_rows.hpp"
#include "proxy/http/name_table.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::http {
namespace {

FieldId short_name(std::string_view name) {
    for (const FieldId id : {FieldId::te, FieldId::via, FieldId::age}) {
        if (iequals(name, name_of(id))) return id;
    }
    return FieldId::other;
}

// WSGI and CGI turn '-' into '_', some servers other characters too: what would such a name become?
FieldId by_alias(std::string_view name) {
    constexpr std::size_t longest_name = 256;
    constexpr unsigned matters =
        hop_by_hop | protected_from_connection | client_identity | dropped_from_clients | dropped_from_endpoints;
    std::array<char, longest_name> plain;
    const std::size_t n = name.size() < longest_name ? name.size() : longest_name;
    for (std::size_t i = 0; i < n; ++i) plain[i] = is_char(name[i], char_plain_name) ? name[i] : '-';
    const FieldId id = lookup_plain({plain.data(), n});
    return has_trait(id, matters) ? FieldId::odd_alias : FieldId::odd;
}

}  // namespace

unsigned traits(FieldId id) {
    return detail::field_rows[static_cast<std::size_t>(id)].traits;
}

std::string_view name_of(FieldId id) {
    return detail::field_rows[static_cast<std::size_t>(id)].name;
}

// Each family has another third letter.
FieldId detail::family_of(std::string_view name) {
    FieldId family = FieldId::other;
    switch (name.size() < 3 ? '\0' : lower(name[2])) {
        case 'f':
            family = FieldId::x_forwarded_any;
            break;
        case 'a':
            family = FieldId::x_accel_any;
            break;
        case 's':
            family = FieldId::x_sendfile_any;
            break;
        case 'e':
            family = FieldId::x_edgeproxy_any;
            break;
        case 'l':
            family = FieldId::ssl_client_any;
            break;
        case 'c':
            family = FieldId::x_client_cert_any;
            break;
        case 'i':
            family = FieldId::client_cert_any;
            break;
        default:
            return FieldId::other;
    }
    return istarts_with(name, name_of(family)) ? family : FieldId::other;
}

FieldId lookup_plain(std::string_view name) {
    if (name.size() < detail::shortest_hashed) return short_name(name);
    if (name.size() <= detail::longest_known) {
        char padded[detail::longest_known];  // what lies behind the name does not count
        name.copy(padded, name.size());
        const FieldId id = detail::known_name(padded, name.size());
        if (id != FieldId::other) return id;
    }
    return detail::family_of(name);
}

FieldId lookup(std::string_view name) {
    return all_chars(name, char_plain_name) ? lookup_plain(name) : by_alias(name);
}

}  // namespace edgeproxy::http
