// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/command.hpp"

#include <array>

#include "upstream/control/bytes.hpp"

namespace edgeproxy::control {
namespace {

constexpr unsigned json_flag = 1, dry_run_flag = 2, now_flag = 4;

std::string text(ByteReader& in) {
    const std::uint32_t size = in.number<std::uint32_t>();
    if (size > max_operand) in.fail();
    return std::string(in.take(size));
}

}  // namespace

const char* word(CommandVerb verb) {
    static constexpr std::array<const char*, command_verbs> words{"status", "reload",  "restart", "scale",
                                                                  "drain",  "undrain", "stop",    "upgrade"};
    return words[static_cast<std::size_t>(verb)];
}

std::optional<std::string> encode(const Request& request) {
    if (request.pool.size() > max_operand || request.worker.size() > max_operand) return std::nullopt;
    std::string out;
    out.push_back(static_cast<char>(command_version));
    out.push_back(static_cast<char>(request.verb));
    const unsigned flags =
        (request.json ? json_flag : 0) | (request.dry_run ? dry_run_flag : 0) | (request.now ? now_flag : 0);
    out.push_back(static_cast<char>(flags));
    put(out, request.count);
    for (const std::string* name : {&request.pool, &request.worker}) {
        put(out, static_cast<std::uint32_t>(name->size()));
        out += *name;
    }
    return out;
}

std::optional<Request> decode_request(std::span<const char> bytes) {
    if (bytes.size() > max_command) return std::nullopt;
    ByteReader in(bytes);
    Request request;
    if (in.number<std::uint8_t>() != command_version) return std::nullopt;
    const unsigned verb = in.number<std::uint8_t>();
    if (verb >= command_verbs) return std::nullopt;
    request.verb = static_cast<CommandVerb>(verb);
    const unsigned flags = in.number<std::uint8_t>();
    if ((flags & ~(json_flag | dry_run_flag | now_flag)) != 0) return std::nullopt;
    request.json = (flags & json_flag) != 0;
    request.dry_run = (flags & dry_run_flag) != 0;
    request.now = (flags & now_flag) != 0;
    request.count = in.number<std::uint32_t>();
    request.pool = text(in);
    request.worker = text(in);
    if (!in.finished()) return std::nullopt;
    return request;
}

std::string encode(const Piece& piece) {
    std::string out;
    out.push_back(static_cast<char>(command_version));
    out.push_back(static_cast<char>(piece.kind));
    out.push_back(static_cast<char>(piece.exit_code));
    out.append(piece.text, 0, max_piece_text);
    return out;
}

std::optional<Piece> decode_piece(std::span<const char> bytes) {
    if (bytes.size() > max_command) return std::nullopt;
    ByteReader in(bytes);
    Piece piece;
    if (in.number<std::uint8_t>() != command_version) return std::nullopt;
    const unsigned kind = in.number<std::uint8_t>();
    if (kind > static_cast<unsigned>(Piece::Kind::done)) return std::nullopt;
    piece.kind = static_cast<Piece::Kind>(kind);
    piece.exit_code = in.number<std::uint8_t>();
    if (in.failed()) return std::nullopt;
    piece.text = std::string(in.take(in.left()));
    return piece;
}

}  // namespace edgeproxy::control
