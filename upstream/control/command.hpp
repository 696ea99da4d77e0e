// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// What people ask of a running edgeproxy, over the master's control socket: one request, then pieces of an answer.
///
/// SOCK_SEQPACKET, each record at most `max_command` bytes. The client sends one Request within `request_timeout`; the
/// master answers with pieces of text, the last one is `done` and carries the exit code. After `leaving` the end of
/// the connection means that the master has ended, and that is success. A client that closes early changes nothing
/// about what it asked for.
namespace edgeproxy::control {

constexpr std::uint8_t command_version = 1;
constexpr std::size_t max_command = 4096;               ///< bytes of one record, both ways
constexpr std::size_t max_operand = 256;                ///< bytes of one name
constexpr const char* control_socket = "control.sock";  ///< in `server.runtime_dir`

/// In the order of their numbers on the wire; never reorder.
enum class CommandVerb : std::uint8_t { status, reload, restart, scale, drain, undrain, stop, upgrade };
constexpr unsigned command_verbs = 8;
const char* word(CommandVerb verb);

struct Request {
    CommandVerb verb = CommandVerb::status;
    bool json = false;        ///< status
    bool dry_run = false;     ///< reload: only say what would change
    bool now = false;         ///< stop: at once
    std::string pool;         ///< restart, scale, drain, undrain
    std::string worker;       ///< restart, drain, undrain: one worker or endpoint of the pool; empty = all
    std::uint32_t count = 0;  ///< scale: how many workers
    bool operator==(const Request&) const = default;
};

struct Piece {
    enum class Kind : std::uint8_t {
        result,   ///< text for standard output
        note,     ///< text for standard error: progress, reasons
        leaving,  ///< the master ends now
        done,     ///< the answer is complete
    };
    Kind kind = Kind::result;
    std::uint8_t exit_code = 0;  ///< of `done`
    std::string text;            ///< as it is to be printed
    bool operator==(const Piece&) const = default;
};
constexpr std::size_t max_piece_text = max_command - 3;

/// Empty when a name is longer than `max_operand`.
std::optional<std::string> encode(const Request& request);
/// Strict: every byte is used exactly, or nothing.
std::optional<Request> decode_request(std::span<const char> bytes);
/// `text` must fit: `max_piece_text`.
std::string encode(const Piece& piece);
std::optional<Piece> decode_piece(std::span<const char> bytes);

}  // namespace edgeproxy::control
