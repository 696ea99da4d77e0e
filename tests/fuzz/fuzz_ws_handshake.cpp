// SPDX-License-Identifier: Apache-2.0
#include <openssl/sha.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/http/http1_reader.hpp"
#include "proxy/http/text.hpp"
#include "proxy/http/websocket.hpp"

// A request head, and behind it the head of an answer; "@@" in the answer stands for the right Sec-WebSocket-Accept. A
// tunnel opens if and only if a naive reading of both says so.
namespace {

using namespace edgeproxy::http;

using Lines = std::vector<std::pair<std::string, std::string>>;

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return out;
}

/// name (lower case) and value of every field line behind the first line.
Lines fields_of(std::string_view head) {
    Lines out;
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos && at + 4 < head.size();) {
        const std::size_t end = head.find("\r\n", at + 2);
        const std::string_view line = head.substr(at + 2, end - at - 2);
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos)
            out.emplace_back(lower_case(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
        at = end;
    }
    return out;
}

std::optional<std::string> only(const Lines& lines, std::string_view name) {
    std::optional<std::string> found;
    for (const auto& [key, value] : lines) {
        if (key != name) continue;
        if (found) return std::nullopt;
        found = value;
    }
    return found;
}

bool lists(const Lines& lines, std::string_view name, std::string_view token) {
    bool found = false;
    for (const auto& [key, value] : lines) {
        if (key != name) continue;
        const std::string list = "," + lower_case(value) + ",";
        for (std::size_t at = 0; (at = list.find(token, at)) != std::string::npos; ++at) {
            std::size_t before = at, after = at + token.size();
            while (list[before - 1] == ' ' || list[before - 1] == '\t') --before;
            while (list[after] == ' ' || list[after] == '\t') ++after;
            found = found || (list[before - 1] == ',' && list[after] == ',');
        }
    }
    return found;
}

std::string accept_of(const std::string& key) {
    const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bits, out;
    for (const unsigned char byte : digest)
        for (int bit = 7; bit >= 0; --bit) bits += static_cast<char>('0' + (byte >> bit & 1));
    bits += "00";
    for (std::size_t at = 0; at < bits.size(); at += 6) out += letters[std::stoi(bits.substr(at, 6), nullptr, 2)];
    return out + "=";
}

bool asks(std::string_view head, const Lines& lines) {
    const auto key = only(lines, "sec-websocket-key");
    if (!head.starts_with("GET ") || head.substr(0, head.find("\r\n")).substr(head.find("\r\n") - 8) != "HTTP/1.1")
        return false;
    if (!key || key->size() != 24 || !key->ends_with("==") ||
        key->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != 22)
        return false;
    if (lower_case(only(lines, "upgrade").value_or("")) != "websocket" || !lists(lines, "connection", "upgrade"))
        return false;
    return only(lines, "sec-websocket-version") == "13" && only(lines, "content-length").value_or("0") == "0" &&
           !only(lines, "transfer-encoding");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    static const auto request = std::make_unique<Request>();
    static const auto response = std::make_unique<Response>();
    RequestReader reader;
    const ReadResult read = reader.read(bytes, *request);
    if (read.status != ReadResult::Status::complete) return 0;
    std::string_view head = bytes.substr(0, read.head_size);
    while (head.starts_with("\r\n")) head.remove_prefix(2);
    const Lines asked = fields_of(head);
    if (request->websocket != asks(head, asked)) std::abort();

    const std::string key = only(asked, "sec-websocket-key").value_or("");
    std::string answer(bytes.substr(read.head_size));
    if (const std::size_t mark = answer.find("@@"); mark != std::string::npos) answer.replace(mark, 2, accept_of(key));
    ResponseReader answers;
    const ReadResult got = answers.read(answer, request->method, *response);
    if (got.status != ReadResult::Status::complete) return 0;
    const bool opens = request->websocket && opens_tunnel(*response, request->websocket_key);
    const std::string_view told(answer.data(), got.head_size);
    const Lines said = fields_of(told);
    const bool should = request->websocket && told.starts_with("HTTP/1.1 101") &&
                        lists(said, "connection", "upgrade") &&
                        lower_case(only(said, "upgrade").value_or("")) == "websocket" &&
                        only(said, "sec-websocket-accept") == accept_of(key);
    if (opens != should) std::abort();
    return 0;
}
