// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/command.hpp"

#include <array>

namespace edgeproxy::control {
namespace {

constexpr unsigned json_flag = 1, dry_run_flag = 2, now_flag = 4;

void put(std::string& out, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>((value >> shift) & 0xff));
}

class Bytes {
 public:
    explicit Bytes(std::span<const char> rest) : rest_(rest) {}

    std::uint8_t byte() {
        if (rest_.empty()) failed_ = true;
        if (failed_) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_ = rest_.subspan(1);
        return value;
    }
    std::uint32_t number() {
        std::uint32_t value = 0;
        for (unsigned shift = 0; shift < 32; shift += 8) value |= std::uint32_t{byte()} << shift;
        return value;
    }
    std::string text(std::size_t limit) {
        const std::size_t size = number();
        if (size > limit || size > rest_.size()) failed_ = true;
        if (failed_) return {};
        std::string value(rest_.data(), size);
        rest_ = rest_.subspan(size);
        return value;
    }
    std::string all() {
        std::string value(rest_.data(), rest_.size());
        rest_ = {};
        return value;
    }
    bool failed() const { return failed_; }
    bool finished() const { return !failed_ && rest_.empty(); }

 private:
    std::span<const char> rest_;
    bool failed_ = false;
};

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
    Bytes in(bytes);
    Request request;
    if (in.byte() != command_version) return std::nullopt;
    const unsigned verb = in.byte();
    if (verb >= command_verbs) return std::nullopt;
    request.verb = static_cast<CommandVerb>(verb);
    const unsigned flags = in.byte();
    if ((flags & ~(json_flag | dry_run_flag | now_flag)) != 0) return std::nullopt;
    request.json = (flags & json_flag) != 0;
    request.dry_run = (flags & dry_run_flag) != 0;
    request.now = (flags & now_flag) != 0;
    request.count = in.number();
    request.pool = in.text(max_operand);
    request.worker = in.text(max_operand);
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
    Bytes in(bytes);
    Piece piece;
    if (in.byte() != command_version) return std::nullopt;
    const unsigned kind = in.byte();
    if (kind > static_cast<unsigned>(Piece::Kind::done)) return std::nullopt;
    piece.kind = static_cast<Piece::Kind>(kind);
    piece.exit_code = in.byte();
    if (in.failed()) return std::nullopt;
    piece.text = in.all();
    return piece;
}

}  // namespace edgeproxy::control
