// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "tests/proxy/http/wire.hpp"

// The first byte chooses the cuts. Whatever the cuts, one verdict; and what is accepted is written as it is read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace edgeproxy::http;
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string whole = test::request(bytes, {bytes.size()});
    if (whole != test::request(bytes, test::cuts(bytes.size(), data[0]))) std::abort();

    RequestReader reader;
    auto request = std::make_unique<Request>();
    if (reader.read(bytes, *request).status != ReadResult::Status::complete) return 0;
    for (const Field& field : request->fields) {
        if (!is_token(field.name) || !is_field_value(field.value)) std::abort();
    }
    if (!all_chars(request->target, char_target) || !all_chars(request->authority, char_target)) std::abort();
    std::string buffer(bytes.size() + 64, '\0');
    HeadWriter writer(buffer);
    writer.request_line(request->method_text, request->target);
    for (const Field& field : request->fields) writer.field(field.name, field.value);
    writer.end_head();
    if (request->version == Version::http10 || request->absolute_form) return 0;  // these are written another way
    if (writer.overflowed()) return 0;                                            // "a:b" got a blank: it may grow
    RequestReader again;
    auto copy = std::make_unique<Request>();
    const ReadResult result = again.read(writer.text(), *copy);
    if (result.error == errc::head_too_large || result.error == errc::field_too_large) return 0;  // by those blanks
    if (result.status != ReadResult::Status::complete || result.head_size != writer.size()) std::abort();
    if (test::describe(*copy) != test::describe(*request)) std::abort();
    return 0;
}
