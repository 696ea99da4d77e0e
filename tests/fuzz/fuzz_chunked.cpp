// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <optional>
#include <regex>

#include "tests/proxy/http/wire.hpp"

namespace {

using namespace edgeproxy::http;

// A whole chunked body as naively as can be: cut into lines first. Nothing for a body that is broken or not complete.
struct Model {
    std::string data;
    std::string_view rest;
};

std::optional<std::string_view> line(std::string_view& in) {
    const std::size_t end = in.find('\r');
    if (end == std::string_view::npos || end + 1 >= in.size() || in[end + 1] != '\n') return std::nullopt;
    const std::string_view out = in.substr(0, end);
    in.remove_prefix(end + 2);
    return out;
}

// *( ";" token [ "=" ( token / quoted-string ) ] )
bool is_extension(std::string_view text) {
    static const std::regex grammar(
        "(;[!#$%&'*+.^_`|~0-9A-Za-z-]+(=([!#$%&'*+.^_`|~0-9A-Za-z-]+|\"([^\"\\\\]|\\\\.)*\"))?)*");
    return std::regex_match(text.begin(), text.end(), grammar);
}

std::optional<std::uint64_t> size_of(std::string_view text, std::size_t& extensions) {
    const std::string_view digits = text.substr(0, text.find(';'));
    const std::string_view ext = text.substr(digits.size());
    extensions += ext.size();
    if (digits.empty() || digits.size() > 15 || ext.size() == 1 || ext.size() > 256 || extensions > 4096)
        return std::nullopt;
    if (!is_field_value(ext) || !is_extension(ext)) return std::nullopt;
    for (char c : digits) {
        if (hex_value(c) < 0) return std::nullopt;
    }
    return std::stoull(std::string(digits), nullptr, 16);
}

std::optional<Model> model(std::string_view in) {
    Model out;
    std::size_t extensions = 0;
    for (;;) {
        const auto text = line(in);
        if (!text) return std::nullopt;
        const auto size = size_of(*text, extensions);
        if (!size) return std::nullopt;
        if (*size == 0) break;
        if (in.size() < 2 || *size > in.size() - 2) return std::nullopt;
        out.data += in.substr(0, *size);
        in.remove_prefix(*size);
        if (line(in) != "") return std::nullopt;
    }
    std::size_t fields = 0, bytes = 0;
    for (;;) {
        const auto text = line(in);
        if (!text) return std::nullopt;
        if (text->empty()) break;
        const std::size_t colon = text->find(':');
        if (colon == std::string_view::npos || colon > 256 || !is_token(text->substr(0, colon))) return std::nullopt;
        if (!is_field_value(text->substr(colon + 1))) return std::nullopt;
        bytes += text->size() - 1;
        if (++fields > 32 || bytes > 4096) return std::nullopt;
    }
    out.rest = in;
    return out;
}

// What the reader makes of it, with the input in pieces at `cuts`.
std::optional<Model> read(std::string_view bytes, const test::Cuts& cuts, bool keep_trailers) {
    Trailers trailers;
    BodyReader reader(Body{Body::Kind::chunked, 0}, keep_trailers ? &trailers : nullptr);
    Model out;
    std::size_t used = 0;
    for (std::size_t to : cuts) {
        while (used < to && !reader.done()) {
            const BodyStep step = reader.next(bytes.substr(used, to - used));
            if (step.error != errc::ok) return std::nullopt;
            if (step.consumed == 0) std::abort();
            out.data += step.data;
            used += step.consumed;
        }
    }
    if (!reader.done()) return std::nullopt;
    for (const Field& field : trailers.fields()) {
        if (!is_token(field.name) || !is_field_value(field.value)) std::abort();
        if (has_trait(lookup(field.name), forbidden_in_trailers)) std::abort();
    }
    out.rest = bytes.substr(used);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto expected = model(bytes);
    for (const test::Cuts& cuts : {test::Cuts{bytes.size()}, test::cuts(bytes.size(), data[0])}) {
        const auto found = read(bytes, cuts, (data[0] & 1) != 0);
        if (found.has_value() != expected.has_value()) std::abort();
        if (found && (found->data != expected->data || found->rest != expected->rest)) std::abort();
    }
    return 0;
}
