// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/redact.hpp"

#include <array>
#include <cstddef>

#include "proxy/http/text.hpp"

namespace edgeproxy::admin {
namespace {

struct Secret {
    std::string_view name;
    bool as_last_word;  ///< also at the end of a longer name: `access_token`, `X-Amz-Signature`
};
constexpr std::array<Secret, 20> secrets{
    {{"token", true},     {"key", true},    {"password", true},      {"secret", true},  {"code", false},
     {"signature", true}, {"passwd", true}, {"passphrase", true},    {"pwd", true},     {"pass", true},
     {"apikey", true},    {"auth", true},   {"authorization", true}, {"session", true}, {"sessionid", true},
     {"sid", false},      {"jwt", true},    {"sig", true},           {"otp", true},     {"credential", true}}};
constexpr std::string_view hidden = "***";

/// The name without percent-encoding, in lower case.
std::string plain_name(std::string_view name) {
    std::string plain;
    for (std::size_t i = 0; i < name.size(); ++i) {
        char c = name[i];
        if (c == '%' && i + 2 < name.size() && http::hex_value(name[i + 1]) >= 0 && http::hex_value(name[i + 2]) >= 0) {
            c = static_cast<char>(http::hex_value(name[i + 1]) * 16 + http::hex_value(name[i + 2]));
            i += 2;
        }
        plain.push_back(http::lower(c));
    }
    return plain;
}

bool is_secret_word(std::string_view word) {
    for (const Secret& secret : secrets) {
        if (word == secret.name) return true;
        if (!secret.as_last_word || word.size() <= secret.name.size() || !word.ends_with(secret.name)) continue;
        const char before = word[word.size() - secret.name.size() - 1];
        if (before == '_' || before == '-' || before == '.') return true;
    }
    return false;
}

/// `token`, `token[a]` and `user[password]` are.
bool is_secret(std::string_view name) {
    const std::string plain = plain_name(name);
    std::string_view rest = plain;
    for (;;) {
        const std::size_t end = rest.find_first_of("[]");
        if (is_secret_word(rest.substr(0, end))) return true;
        if (end == std::string_view::npos) return false;
        rest.remove_prefix(end + 1);
    }
}

void append_pair(std::string& out, std::string_view pair) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || !is_secret(pair.substr(0, equals))) {
        out.append(pair);
        return;
    }
    out.append(pair.substr(0, equals + 1)).append(hidden);
}

}  // namespace

void append_redacted_query(std::string& out, std::string_view query) {
    for (;;) {
        const std::size_t end = query.find_first_of("&;");
        append_pair(out, query.substr(0, end));
        if (end == std::string_view::npos) return;
        out.push_back(query[end]);
        query.remove_prefix(end + 1);
    }
}

void append_redacted_reference(std::string& out, std::string_view reference) {
    const std::size_t mark = reference.find('?');
    const std::string_view before = reference.substr(0, mark);
    const std::size_t scheme = before.find("://");
    const std::size_t authority = scheme == std::string_view::npos ? before.size() : scheme + 3;
    const std::string_view host = before.substr(authority, before.find_first_of("/#", authority) - authority);
    const std::size_t at = host.rfind('@');
    if (at == std::string_view::npos) {
        out.append(before);
    } else {
        out.append(before.substr(0, authority)).append(hidden).append(before.substr(authority + at));
    }
    if (mark == std::string_view::npos) return;
    out.push_back('?');
    append_redacted_query(out, reference.substr(mark + 1));
}

}  // namespace edgeproxy::admin
