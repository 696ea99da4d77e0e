// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/control_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

namespace edgeproxy::master {
namespace {

using boost::asio::posix::stream_descriptor;
using control::Piece;

constexpr int refused_code = 7;  // of the program: the running one said no

// Who is at the other end, as the kernel says.
bool is_allowed(int fd) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

// Of something that is back sooner or later.
bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool send_record(int fd, const std::string& bytes) {
    return ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace

const char* word(ControlRefusal refusal) {
    static constexpr std::array<const char*, control_refusals> words{"too_many", "not_allowed", "malformed", "too_late",
                                                                     "unread"};
    return words[static_cast<std::size_t>(refusal)];
}

/// One conversation. Kept alive by the socket while it is open, and by whoever still owes it an answer.
class ControlSocket::Client final : public Asker, public std::enable_shared_from_this<Client> {
 public:
    Client(ControlSocket& owner, io::UniqueFd fd)
        : owner_(owner), fd_(fd.get()), stream_(owner.loop_, fd.release()), timer_(owner.loop_) {}

    void start() {
        expect(ControlRefusal::too_late);
        wait_for_request();
    }
    /// Its request was read by an earlier program.
    void go_on() {
        asked_ = true;
        wait_for_request();
    }
    void close() {
        if (!std::exchange(open_, false)) return;
        stream_.close();
        timer_.cancel();
        waiting_.clear();
        owner_.forget(*this);
    }

    void result(std::string_view text) override { say(Piece::Kind::result, text); }
    void note(std::string_view text) override { say(Piece::Kind::note, text); }
    int descriptor() const override { return open_ ? fd_ : -1; }
    void leaving() override { send(control::encode(Piece{Piece::Kind::leaving, 0, {}})); }
    void done(int exit_code) override {
        if (std::exchange(done_, true)) return;
        send(control::encode(Piece{Piece::Kind::done, static_cast<std::uint8_t>(exit_code), {}}));
        if (waiting_.empty()) close();
    }

 private:
    void expect(ControlRefusal otherwise) {
        timer_.expires_after(request_timeout);
        timer_.async_wait([self = shared_from_this(), otherwise](boost::system::error_code error) {
            if (error || !self->open_) return;
            // What was waited for may have come in the same turn.
            if (otherwise == ControlRefusal::too_late ? self->asked_ : self->waiting_.empty()) return;
            self->owner_.refuse(otherwise);
            self->close();
        });
    }

    void wait_for_request() {
        stream_.async_wait(stream_.wait_read, [self = shared_from_this()](boost::system::error_code error) {
            if (!error && self->open_) self->read();
        });
    }

    void read() {
        std::array<char, control::max_command + 1> bytes;
        const ssize_t size = ::recv(stream_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return wait_for_request();
        if (size <= 0) return close();
        if (std::exchange(asked_, true)) return wait_for_request();  // one request each; the rest is not looked at
        const auto request = control::decode_request({bytes.data(), static_cast<std::size_t>(size)});
        if (!request) {
            owner_.refuse(ControlRefusal::malformed);
            return refuse("this is no request that this version understands", refused_code);
        }
        timer_.cancel();
        wait_for_request();  // to notice that the client has gone
        owner_.handle_(*request, shared_from_this());
    }

    void say(Piece::Kind kind, std::string_view text) {
        while (!text.empty() && open_ && !done_) {
            const std::string_view part = text.substr(0, control::max_piece_text);
            send(control::encode(Piece{kind, 0, std::string(part)}));
            text.remove_prefix(part.size());
        }
    }

    void send(std::string record) {
        if (!open_) return;
        if (waiting_.empty() && send_record(stream_.native_handle(), record)) return;
        if (waiting_.empty() && errno != EAGAIN) return close();
        waiting_bytes_ += record.size();
        if (waiting_bytes_ > max_waiting) {
            owner_.refuse(ControlRefusal::unread);
            return close();
        }
        waiting_.push_back(std::move(record));
        if (waiting_.size() == 1) flush_later();
    }

    void flush_later() {
        expect(ControlRefusal::unread);
        stream_.async_wait(stream_.wait_write, [self = shared_from_this()](boost::system::error_code error) {
            if (!error && self->open_) self->flush();
        });
    }

    void flush() {
        while (!waiting_.empty()) {
            if (!send_record(stream_.native_handle(), waiting_.front())) {
                if (errno != EAGAIN) return close();
                return flush_later();
            }
            waiting_bytes_ -= waiting_.front().size();
            waiting_.pop_front();
        }
        timer_.cancel();
        if (done_) close();
    }

    ControlSocket& owner_;
    const int fd_;  // of `stream_`, which tells it only where it may be changed
    stream_descriptor stream_;
    boost::asio::steady_timer timer_;
    std::deque<std::string> waiting_;
    std::size_t waiting_bytes_ = 0;
    bool open_ = true, asked_ = false, done_ = false;
};

ControlSocket::ControlSocket(boost::asio::io_context& loop, config::Log& log, Handle handle,
                             std::function<void()> counted)
    : loop_(loop), log_(log), handle_(std::move(handle)), counted_(std::move(counted)), pause_timer_(loop) {}

ControlSocket::~ControlSocket() {
    close();
}

bool ControlSocket::open(const std::string& path, std::string& error) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        error = fmt::format("the path of the control socket is too long: {}", path);
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    ::unlink(path.c_str());
    io::UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const mode_t before = ::umask(0177);  // never open to others, not even for a moment
    const bool bound = fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    const int bind_error = errno;
    ::umask(before);
    if (!bound || ::listen(fd.get(), static_cast<int>(max_clients)) != 0) {
        error = fmt::format("cannot listen on {}: {}", path, std::strerror(bound ? errno : bind_error));
        return false;
    }
    path_ = path;
    listener_ = std::make_unique<stream_descriptor>(loop_, fd.release());
    wait();
    return true;
}

ControlSocket::Memory ControlSocket::memory() const {
    return {listener_ ? listener_->native_handle() : -1, path_, refused_};
}

void ControlSocket::adopt(const Memory& memory) {
    refused_ = memory.refused;
    if (memory.listener < 0) return;
    path_ = memory.path;
    listener_ = std::make_unique<stream_descriptor>(loop_, memory.listener);
    wait();
}

std::shared_ptr<Asker> ControlSocket::adopt_client(int descriptor) {
    if (descriptor < 0) return nullptr;
    const auto client = std::make_shared<Client>(*this, io::UniqueFd(descriptor));
    clients_.push_back(client);
    client->go_on();
    return client;
}

void ControlSocket::close() {
    if (!listener_) return;
    listener_.reset();
    pause_timer_.cancel();
    ::unlink(path_.c_str());
    for (const auto& client : std::exchange(clients_, {})) client->close();
}

void ControlSocket::wait() {
    listener_->async_wait(stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error || !listener_) return;
        if (is_shortage(accept_all())) return pause();
        wait();
    });
}

// Whoever could not be let in stays in the backlog, where waiting would find it at once again, without end.
void ControlSocket::pause() {
    pause_timer_.expires_after(accept_pause);
    pause_timer_.async_wait([this](boost::system::error_code error) {
        if (!error && listener_) wait();
    });
}

int ControlSocket::accept_all() {
    for (std::size_t i = 0; i < max_clients; ++i) {
        io::UniqueFd fd(::accept4(listener_->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return errno;
        admit(std::move(fd));
    }
    return 0;
}

void ControlSocket::admit(io::UniqueFd fd) {
    const bool allowed = is_allowed(fd.get()), room = clients_.size() < max_clients;
    if (allowed && room) {
        clients_.push_back(std::make_shared<Client>(*this, std::move(fd)));
        return clients_.back()->start();
    }
    refuse(allowed ? ControlRefusal::too_many : ControlRefusal::not_allowed);
    const char* why =
        allowed ? "too many commands at once; try again\n" : "only root and the user of this edgeproxy may\n";
    send_record(fd.get(), control::encode(Piece{Piece::Kind::note, 0, std::string("edgeproxy: ") + why}));
    send_record(fd.get(), control::encode(Piece{Piece::Kind::done, refused_code, {}}));
}

void ControlSocket::refuse(ControlRefusal why) {
    ++refused_[static_cast<std::size_t>(why)];
    log_.warn("control_refused", fmt::format("a client of the control socket was turned away: {}", word(why)),
              {{"reason", word(why)}});
    counted_();
}

void ControlSocket::forget(const Client& client) {
    const auto it =
        std::find_if(clients_.begin(), clients_.end(), [&](const auto& one) { return one.get() == &client; });
    if (it != clients_.end()) clients_.erase(it);
}

}  // namespace edgeproxy::master
