// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/http1_writer.hpp"

#include <array>
#include <charconv>

namespace edgeproxy::http {
namespace {

struct StatusRow {
    unsigned status;
    std::string_view line;  ///< the whole line; the reason is what follows "HTTP/1.1 200 "
};

constexpr std::array<StatusRow, 47> status_rows{{
    {100, "HTTP/1.1 100 Continue\r\n"},
    {101, "HTTP/1.1 101 Switching Protocols\r\n"},
    {102, "HTTP/1.1 102 Processing\r\n"},
    {103, "HTTP/1.1 103 Early Hints\r\n"},
    {200, "HTTP/1.1 200 OK\r\n"},
    {201, "HTTP/1.1 201 Created\r\n"},
    {202, "HTTP/1.1 202 Accepted\r\n"},
    {203, "HTTP/1.1 203 Non-Authoritative Information\r\n"},
    {204, "HTTP/1.1 204 No Content\r\n"},
    {205, "HTTP/1.1 205 Reset Content\r\n"},
    {206, "HTTP/1.1 206 Partial Content\r\n"},
    {300, "HTTP/1.1 300 Multiple Choices\r\n"},
    {301, "HTTP/1.1 301 Moved Permanently\r\n"},
    {302, "HTTP/1.1 302 Found\r\n"},
    {303, "HTTP/1.1 303 See Other\r\n"},
    {304, "HTTP/1.1 304 Not Modified\r\n"},
    {307, "HTTP/1.1 307 Temporary Redirect\r\n"},
    {308, "HTTP/1.1 308 Permanent Redirect\r\n"},
    {400, "HTTP/1.1 400 Bad Request\r\n"},
    {401, "HTTP/1.1 401 Unauthorized\r\n"},
    {402, "HTTP/1.1 402 Payment Required\r\n"},
    {403, "HTTP/1.1 403 Forbidden\r\n"},
    {404, "HTTP/1.1 404 Not Found\r\n"},
    {405, "HTTP/1.1 405 Method Not Allowed\r\n"},
    {406, "HTTP/1.1 406 Not Acceptable\r\n"},
    {408, "HTTP/1.1 408 Request Timeout\r\n"},
    {409, "HTTP/1.1 409 Conflict\r\n"},
    {410, "HTTP/1.1 410 Gone\r\n"},
    {411, "HTTP/1.1 411 Length Required\r\n"},
    {412, "HTTP/1.1 412 Precondition Failed\r\n"},
    {413, "HTTP/1.1 413 Content Too Large\r\n"},
    {414, "HTTP/1.1 414 URI Too Long\r\n"},
    {415, "HTTP/1.1 415 Unsupported Media Type\r\n"},
    {416, "HTTP/1.1 416 Range Not Satisfiable\r\n"},
    {417, "HTTP/1.1 417 Expectation Failed\r\n"},
    {421, "HTTP/1.1 421 Misdirected Request\r\n"},
    {422, "HTTP/1.1 422 Unprocessable Content\r\n"},
    {425, "HTTP/1.1 425 Too Early\r\n"},
    {426, "HTTP/1.1 426 Upgrade Required\r\n"},
    {429, "HTTP/1.1 429 Too Many Requests\r\n"},
    {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
    {500, "HTTP/1.1 500 Internal Server Error\r\n"},
    {501, "HTTP/1.1 501 Not Implemented\r\n"},
    {502, "HTTP/1.1 502 Bad Gateway\r\n"},
    {503, "HTTP/1.1 503 Service Unavailable\r\n"},
    {504, "HTTP/1.1 504 Gateway Timeout\r\n"},
    {505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
}};

// Index by status, so that the common case costs a load.
constexpr std::size_t highest = 506;
constexpr std::array<std::uint8_t, highest> make_index() {
    std::array<std::uint8_t, highest> index{};
    for (std::size_t i = 0; i < status_rows.size(); ++i)
        index[status_rows[i].status] = static_cast<std::uint8_t>(i + 1);
    return index;
}
constexpr std::array<std::uint8_t, highest> status_index = make_index();

std::string_view cached_line(unsigned status) {
    if (status >= highest || status_index[status] == 0) return {};
    return status_rows[status_index[status] - 1U].line;
}

}  // namespace

std::string_view reason_of(unsigned status) {
    constexpr std::size_t before = std::string_view("HTTP/1.1 200 ").size();
    const std::string_view line = cached_line(status);
    return line.empty() ? line : line.substr(before, line.size() - before - 2);
}

namespace {
char* copy(char* to, std::string_view text) {
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
}
}  // namespace

void HeadWriter::number(std::uint64_t value) {
    const auto [end, error] = std::to_chars(at_, end_, value);
    if (error != std::errc{}) return overflow();
    at_ = end;
}

void HeadWriter::request_line(std::string_view method, std::string_view target) {
    put(method);
    put(' ');
    put(target);
    put(" HTTP/1.1\r\n");
}

void HeadWriter::status_line(unsigned status, std::string_view reason) {
    const std::string_view cached = cached_line(status);
    if (!cached.empty() && (reason.empty() || reason == reason_of(status))) return put(cached);
    put("HTTP/1.1 ");
    number(status);
    put(' ');
    put(reason);
    put("\r\n");
}

void HeadWriter::field(std::string_view name, std::string_view value) {
    const std::size_t size = name.size() + value.size() + 4;
    if (size > static_cast<std::size_t>(end_ - at_)) return overflow();
    at_ = copy(at_, name);
    at_ = copy(at_, ": ");
    at_ = copy(at_, value);
    at_ = copy(at_, "\r\n");
}

void HeadWriter::field(const Field& field) {
    const char* const colon = field.name.data() + field.name.size();
    const bool as_written = field.value.data() == colon + 2 && colon[0] == ':' && colon[1] == ' ';
    if (!as_written) return this->field(field.name, field.value);
    const std::size_t size = field.name.size() + field.value.size() + 4;
    if (size > static_cast<std::size_t>(end_ - at_)) return overflow();
    at_ = copy(at_, {field.name.data(), size - 2});
    at_ = copy(at_, "\r\n");
}

void HeadWriter::field(std::string_view name, std::uint64_t value) {
    put(name);
    put(": ");
    number(value);
    put("\r\n");
}

void HeadWriter::chunk_line(std::uint64_t size) {
    const auto [end, error] = std::to_chars(at_, end_, size, 16);
    if (error != std::errc{}) return overflow();
    at_ = end;
    put("\r\n");
}

void HeadWriter::last_chunk(std::span<const Field> trailers) {
    put("0\r\n");
    for (const Field& trailer : trailers) field(trailer);
    put("\r\n");
}

}  // namespace edgeproxy::http
