// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/log.hpp"
#include "tls/io/fd.hpp"
#include "upstream/control/command.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::master {

/// Whoever waits for the answer to a request. Every call is without effect once the client has gone; its text is then
/// lost, the work that it asked for is not.
class Asker {
 public:
    virtual ~Asker() = default;
    virtual void result(std::string_view text) = 0;  ///< for standard output, as it is to be printed
    virtual void note(std::string_view text) = 0;    ///< for standard error
    /// The last word. Later ones are ignored.
    virtual void done(int exit_code) = 0;
    /// The master ends: the end of the connection will be the answer.
    virtual void leaving() = 0;
    /// Of the connection, so that another program in our process can give the answer; -1 = there is none.
    virtual int descriptor() const { return -1; }

    void refuse(const std::string& why, int exit_code) {
        note("edgeproxy: " + why + "\n");
        done(exit_code);
    }
};

/// Why a client of the control socket was turned away.
enum class ControlRefusal : std::uint8_t {
    too_many,     ///< `max_clients` are connected
    not_allowed,  ///< neither root nor our own user
    malformed,    ///< no request that we understand
    too_late,     ///< no request within `request_timeout`
    unread,       ///< does not read its answer
};
constexpr std::size_t control_refusals = control::control_refusals;
const char* word(ControlRefusal refusal);

/// The master's control socket: `control.sock`, SEQPACKET, mode 0600. Root and the user that we run as may ask; the
/// kernel tells who they are. Reads one request of each client and passes it on. Bounded in clients, time and memory.
/// Runs on the loop's thread.
class ControlSocket {
 public:
    static constexpr std::size_t max_clients = 16;
    static constexpr std::chrono::milliseconds request_timeout{2000};  ///< to send the request, and to read on
    static constexpr std::chrono::milliseconds accept_pause{100};      ///< while there is no descriptor for a client
    static constexpr std::size_t max_waiting = 512 * 1024;             ///< bytes of an answer that nobody reads

    using Handle = std::function<void(const control::Request&, std::shared_ptr<Asker>)>;
    using Counts = std::array<std::uint64_t, control_refusals>;

    /// `counted`: `refused` changed.
    ControlSocket(boost::asio::io_context& loop, config::Log& log, Handle handle, std::function<void()> counted);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

    /// Listens at `path`, in place of whatever a dead run left there. False with one sentence in `error`.
    bool open(const std::string& path, std::string& error);
    /// Ends every conversation and removes the path.
    void close();
    const Counts& refused() const { return refused_; }

    /// What the next program in our process needs to listen on; conversations end with this one.
    struct Memory {
        int listener = -1;  ///< -1: not open
        std::string path;
        Counts refused{};
        bool operator==(const Memory&) const = default;
    };
    Memory memory() const;
    /// Instead of `open`.
    void adopt(const Memory& memory);
    /// A conversation of the program before, whose request was read. Null without a descriptor.
    std::shared_ptr<Asker> adopt_client(int descriptor);

 private:
    class Client;
    void wait();
    /// Returns errno, 0 when all who wanted to are in.
    int accept_all();
    void pause();
    void admit(io::UniqueFd fd);
    void refuse(ControlRefusal why);
    void forget(const Client& client);

    boost::asio::io_context& loop_;
    config::Log& log_;
    const Handle handle_;
    const std::function<void()> counted_;
    std::string path_;
    std::unique_ptr<boost::asio::posix::stream_descriptor> listener_;
    boost::asio::steady_timer pause_timer_;
    std::vector<std::shared_ptr<Client>> clients_;
    Counts refused_{};
};

}  // namespace edgeproxy::master
