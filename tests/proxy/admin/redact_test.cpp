// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/redact.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace edgeproxy::admin;

namespace {

std::string query(std::string_view text) {
    std::string out;
    append_redacted_query(out, text);
    return out;
}

std::string reference(std::string_view text) {
    std::string out;
    append_redacted_reference(out, text);
    return out;
}

}  // namespace

TEST_CASE("values of secret names are hidden, everything else stays byte for byte", "[admin][redact]") {
    const auto [in, out] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"a=1", "a=1"},
        {"token=geheim&a=1", "token=***&a=1"},
        {"a=1&token=geheim", "a=1&token=***"},
        {"TOKEN=geheim", "TOKEN=***"},
        {"key=k;password=p;secret=s", "key=***;password=***;secret=***"},
        {"code=c&signature=s", "code=***&signature=***"},
        {"token", "token"},
        {"token=", "token=***"},
        {"token=a=b", "token=***"},
        {"%74oken=geheim", "%74oken=***"},
        {"t%6Fk%65n=geheim", "t%6Fk%65n=***"},
        {"token[]=geheim&token[a]=b", "token[]=***&token[a]=***"},
        {"user[password]=p&user[name]=n&user%5Bpwd%5D=x", "user[password]=***&user[name]=n&user%5Bpwd%5D=***"},
        {"apikey=a&sessionid=b&sid=c&jwt=d&sig=e&otp=f", "apikey=***&sessionid=***&sid=***&jwt=***&sig=***&otp=***"},
        {"X-Amz-Credential=a&author=b&inside=c&pinned=d", "X-Amz-Credential=***&author=b&inside=c&pinned=d"},
        {"access_token=x&X-Amz-Signature=y&api.key=z", "access_token=***&X-Amz-Signature=***&api.key=***"},
        {"zip_code=12345&monkey=1&tokens=2&keyboard=3", "zip_code=12345&monkey=1&tokens=2&keyboard=3"},
        {"&&=&a", "&&=&a"},
        {"%", "%"},
        {"%7=%zz", "%7=%zz"},
    }));
    CHECK(query(in) == out);
}

TEST_CASE("a referer keeps neither the secrets of its query nor its password", "[admin][redact]") {
    const auto [in, out] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"https://example.com/a", "https://example.com/a"},
        {"https://example.com/a?token=geheim&b=1", "https://example.com/a?token=***&b=1"},
        {"https://user:pw@example.com/a@b", "https://***@example.com/a@b"},
        {"/a@b?x", "/a@b?x"},
        {"https://example.com", "https://example.com"},
    }));
    CHECK(reference(in) == out);
}
