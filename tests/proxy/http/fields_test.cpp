// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/fields.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "proxy/http/field_rows.hpp"

namespace edgeproxy::http {
namespace {

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
    }
    return out;
}

}  // namespace

TEST_CASE("every listed name is found in every case, and no other", "[http][fields]") {
    for (const detail::FieldRow& row : detail::field_rows) {
        if (row.name.empty()) continue;
        INFO(row.name);
        CHECK(lookup(row.name) == row.id);
        CHECK(lookup(upper(row.name)) == row.id);
        CHECK(name_of(row.id) == row.name);
        std::string other(row.name);
        for (char& c : other) {  // one letter off
            const char was = c;
            c = c == 'q' ? 'z' : 'q';
            CHECK(lookup(other) != row.id);
            c = was;
        }
    }
    for (std::string_view name :
         {"a", "x", "xy", "accep", "accept-", "hos", "hosts", "content-lengthy", "sec-fetch-mode"}) {
        CHECK(lookup(name) == FieldId::other);
    }
    CHECK(lookup(std::string(256, 'x')) == FieldId::other);
}

TEST_CASE("families of names are known by their prefix", "[http][fields]") {
    CHECK(lookup("X-Forwarded-Whatever") == FieldId::x_forwarded_any);
    CHECK(lookup("X-Accel-Limit-Rate") == FieldId::x_accel_any);
    CHECK(lookup("X-Accel-Redirect") == FieldId::x_accel_redirect);
    CHECK(lookup("X-Sendfile-Type") == FieldId::x_sendfile_any);
    CHECK(lookup("X-Edgeproxy-Trace") == FieldId::x_edgeproxy_any);
    CHECK(lookup("SSL-Client-Verify") == FieldId::ssl_client_any);
    CHECK(lookup("X-Client-Cert-Subject") == FieldId::x_client_cert_any);
    CHECK(lookup("Client-Cert") == FieldId::client_cert_any);
    CHECK(lookup("client-cert-chain") == FieldId::client_cert_any);
    CHECK(lookup("X_Client_Cert_Subject") == FieldId::odd_alias);
    CHECK(lookup("X-Forwarded") == FieldId::other);
}

TEST_CASE("other spellings of a protected name are told from harmless ones", "[http][fields]") {
    for (std::string_view name : {"X_Forwarded_For", "x-forwarded_for", "X.Forwarded.For", "Content_Length",
                                  "content.length", "TRANSFER_ENCODING", "Host_", "SCRIPT_NAME", "Remote_User",
                                  "x_accel_redirect", "X_Forwarded_Anything", "ssl_client_cert", "Content_Type"}) {
        INFO(name);
        CHECK(lookup(name) == (name == "Host_" ? FieldId::odd : FieldId::odd_alias));
    }
    for (std::string_view name : {"my_key", "a.b", "User_Agent", "x~y", "_"}) CHECK(lookup(name) == FieldId::odd);
}

TEST_CASE("the lists of a proxy are those of the names", "[http][fields]") {
    for (std::string_view name :
         {"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer",
          "Transfer-Encoding", "Upgrade", "HTTP2-Settings"}) {
        CHECK(has_trait(lookup(name), hop_by_hop));
        CHECK(has_trait(lookup(name), forbidden_in_trailers));
    }
    for (std::string_view name :
         {"X-Forwarded-For", "X-Forwarded-Foo", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP",
          "CF-Connecting-IP", "X-Request-ID", "X-Edgeproxy-A", "X-Forwarded-Client-Cert", "SSL-Client-Cert"}) {
        CHECK(has_trait(lookup(name), client_identity));
        CHECK(has_trait(lookup(name), protected_from_connection));
    }
    for (std::string_view name : {"Host", "Content-Length", "Authorization", "Cookie"}) {
        CHECK(has_trait(lookup(name), protected_from_connection));
        CHECK_FALSE(has_trait(lookup(name), client_identity | hop_by_hop | dropped_from_clients));
    }
    for (std::string_view name :
         {"Proxy", "Script-Name", "Path-Info", "Remote-User", "Daphne-Root-Path", "X-Original-URL", "X-Rewrite-URL",
          "X-Sendfile", "X-Accel-Redirect", "X-Script-Name", "script_name"}) {
        CHECK(has_trait(lookup(name), dropped_from_clients));
    }
    CHECK(has_trait(FieldId::x_accel_redirect, dropped_from_endpoints));
    CHECK(has_trait(FieldId::x_sendfile_any, dropped_from_endpoints));
    CHECK(traits(FieldId::other) == no_traits);
    CHECK(traits(FieldId::etag) == no_traits);
}

TEST_CASE("fields are kept in order, up to a capacity", "[http][fields]") {
    auto fields = std::make_unique<Fields>();
    CHECK(fields->empty());
    CHECK(fields->push("Via", "a"));
    CHECK(fields->push("x-y", "1"));
    CHECK(fields->push("VIA", "b"));
    CHECK(fields->size() == 3);
    CHECK(fields->has(FieldId::via));
    CHECK(fields->repeated(FieldId::via));
    CHECK_FALSE(fields->has(FieldId::host));
    CHECK(fields->find(FieldId::host) == nullptr);
    CHECK(fields->count(FieldId::via) == 2);
    CHECK(fields->count(FieldId::host) == 0);
    CHECK(fields->count(FieldId::other) == 1);
    CHECK(fields->value(FieldId::via) == "a");
    CHECK(fields->find("X-Y")->value == "1");
    CHECK(fields->find("X-Z") == nullptr);
    while (fields->size() < Fields::capacity) REQUIRE(fields->push("n", "v"));
    CHECK_FALSE(fields->push("host", "v"));
    CHECK_FALSE(fields->has(FieldId::host));
    fields->clear();
    CHECK(fields->empty());
    CHECK_FALSE(fields->has(FieldId::via));
    CHECK_FALSE(fields->repeated(FieldId::via));
}

TEST_CASE("lists are taken apart at their commas", "[http][text]") {
    std::string seen;
    CHECK(for_each_element(" a,, b\t,c ", [&](std::string_view e) {
        seen += "<" + std::string(e) + ">";
        return true;
    }));
    CHECK(seen == "<a><><b><c>");
    CHECK_FALSE(for_each_element("a,b", [](std::string_view) { return false; }));
}

}  // namespace edgeproxy::http
