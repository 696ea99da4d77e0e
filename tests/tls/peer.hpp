// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/context.hpp"
#include "tls/io/socket.hpp"
#include "tls/openssl.hpp"
#include "tls/stream.hpp"
#include "tls/tickets.hpp"
#include "tls/windows.hpp"

namespace edgeproxy::tls {

using UniqueSession = std::unique_ptr<SSL_SESSION, Free<SSL_SESSION_free>>;

/// What a test client asks for.
struct Wishes {
    std::string server_name{};
    std::string alpn{};  ///< wire form, for example "\x02h2"
    int lowest = TLS1_2_VERSION, highest = TLS1_3_VERSION;
    std::string tls12_ciphers{};
    SSL_SESSION* session = nullptr;  ///< to resume
    const Pem* own = nullptr;        ///< the client's certificate
    bool status = false;             ///< asks for an OCSP answer
};

/// A TLS client in the test's hand: OpenSSL with memory BIOs at the far end of a socket pair. Moves only in `pump`.
class Client {
 public:
    Client(io::UniqueFd fd, const Wishes& wishes);

    /// Moves bytes both ways, at most `cut` each, and decrypts.
    void pump();
    /// Only sends.
    void flush();
    void send(std::string_view text);
    void send_raw(std::string_view bytes);  ///< not encrypted, past OpenSSL
    void close_notify();
    void close() { fd_.reset(); }
    void fin();
    void update_key();

    int socket() const { return fd_.get(); }
    bool done() const { return done_; }  ///< the handshake
    SSL* ssl() const { return ssl_.get(); }
    std::string alpn() const;
    std::string staple() const;            ///< the OCSP answer that came, DER
    std::string certificate_name() const;  ///< common name of the server's certificate

    std::size_t cut = static_cast<std::size_t>(-1);
    std::string received;
    bool ended = false;                ///< close_notify came
    bool closed = false;               ///< FIN or reset came
    int alert = 0;                     ///< a fatal alert came
    std::size_t raw_received = 0;      ///< bytes from the socket
    std::vector<std::size_t> records;  ///< sizes of the application records that came
    std::vector<UniqueSession> sessions;

 private:
    void take();
    void decrypt();
    io::UniqueFd fd_;
    UniqueSslCtx ctx_;
    UniqueSsl ssl_;
    BIO* in_;
    BIO* out_;
    std::string unsent_;
    bool done_ = false;
};

/// A reactor with a hand-moved clock, certificates and everything else that a TLS stream needs.
struct World {
    /// Serves dev certificate and protocols h2, http/1.1 when nothing else is said.
    explicit World(const config::Tls& tls = {}, const std::vector<Pem>& pems = {},
                   std::vector<config::Protocol> protocols = {config::Protocol::h2, config::Protocol::http1});
    ~World();

    struct Connection {
        std::unique_ptr<Stream> stream;
        std::unique_ptr<Client> client;
        Connection(std::unique_ptr<Stream> s, std::unique_ptr<Client> c) : stream(std::move(s)), client(std::move(c)) {}
        Connection(Connection&&) = default;
        ~Connection();  ///< ends what waits on the stream
    };
    Connection connect(const Wishes& wishes = {});
    /// A connection whose handshake is done on both sides (or `outcome` tells why not).
    Connection connected(const Wishes& wishes = {});
    void turn(Client& client);
    /// The client sends what it has, and the reactor notices.
    void deliver(Client& client);
    /// Turns until `done()`, or false after many.
    template <class Done>
    bool until(Client& client, Done done, int turns = 200'000) {
        for (int i = 0; i < turns; ++i) {
            if (done()) return true;
            turn(client);
        }
        return done();
    }
    void settle(Client& client, int turns = 20) {
        for (int i = 0; i < turns; ++i) turn(client);
    }

    io::Clock clock = io::Clock::manual();
    io::Reactor reactor{0, clock};
    Windows windows{reactor};
    TicketKeys tickets{clock.now()};
    Context context;
    io::error_code outcome;  ///< of the last `connected`
};

/// Accepts, and tells how it went.
io::Task<void> accepts(Stream& stream, World& world, io::error_code& outcome, bool& done);

}  // namespace edgeproxy::tls
