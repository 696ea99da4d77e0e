// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "tests/proxy/http/wire.hpp"

// The first byte chooses the cuts and the method that is answered. The table of RFC 9112, section 6.3 must hold.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace edgeproxy::http;
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Method method = (data[0] & 1) != 0 ? Method::head : Method::get;
    if (test::response(bytes, {bytes.size()}, method) !=
        test::response(bytes, test::cuts(bytes.size(), data[0]), method)) {
        std::abort();
    }
    ResponseReader reader;
    auto response = std::make_unique<Response>();
    if (reader.read(bytes, method, *response).status != ReadResult::Status::complete) return 0;
    const bool bodiless =
        method == Method::head || response->status < 200 || response->status == 204 || response->status == 304;
    if (bodiless != (response->body.kind == Body::Kind::none)) std::abort();
    if (response->body.kind == Body::Kind::until_close && response->keep_alive) std::abort();
    const bool both = response->fields.has(FieldId::content_length) && response->fields.has(FieldId::transfer_encoding);
    if (both || response->fields.repeated(FieldId::content_length)) std::abort();
    if (!is_field_value(response->reason)) std::abort();
    for (const Field& field : response->fields) {
        if (!is_token(field.name) || !is_field_value(field.value)) std::abort();
    }
    return 0;
}
