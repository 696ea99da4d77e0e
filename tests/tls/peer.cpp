// SPDX-License-Identifier: Apache-2.0
#include "peer.hpp"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

namespace edgeproxy::tls {
namespace {

Client& client_of(const SSL* ssl) {
    return *static_cast<Client*>(SSL_get_app_data(ssl));
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
    client_of(ssl).sessions.emplace_back(session);
    return 1;
}

void use(SSL_CTX* ctx, const Pem& pem) {
    const Certificate own = load_certificate(pem.chain, pem.key).value();
    SSL_CTX_use_certificate(ctx, own.leaf.get());
    SSL_CTX_use_PrivateKey(ctx, own.key.get());
    for (const UniqueX509& intermediate : own.intermediates) SSL_CTX_add1_chain_cert(ctx, intermediate.get());
}

void see_alert(const SSL* ssl, int where, int value) {
    if (where == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL) client_of(ssl).alert = value & 0xff;
}

}  // namespace

Client::Client(io::UniqueFd fd, const Wishes& wishes) : fd_(std::move(fd)), ctx_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_min_proto_version(ctx_.get(), wishes.lowest);
    SSL_CTX_set_max_proto_version(ctx_.get(), wishes.highest);
    SSL_CTX_set_session_cache_mode(ctx_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx_.get(), keep_session);
    SSL_CTX_set_info_callback(ctx_.get(), see_alert);
    if (!wishes.tls12_ciphers.empty()) SSL_CTX_set_cipher_list(ctx_.get(), wishes.tls12_ciphers.c_str());
    if (wishes.own != nullptr) use(ctx_.get(), *wishes.own);
    ssl_.reset(SSL_new(ctx_.get()));
    if (wishes.status) SSL_set_tlsext_status_type(ssl_.get(), TLSEXT_STATUSTYPE_ocsp);
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_app_data(ssl_.get(), this);
    if (!wishes.server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), wishes.server_name.c_str());
    if (!wishes.alpn.empty())
        SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wishes.alpn.data()),
                            static_cast<unsigned>(wishes.alpn.size()));
    if (wishes.session != nullptr) SSL_set_session(ssl_.get(), wishes.session);
    SSL_set_connect_state(ssl_.get());
}

void Client::pump() {
    if (!fd_) return;
    take();
    decrypt();
    flush();
}

void Client::take() {
    char buffer[64 * 1024];
    const ssize_t got = ::recv(fd_.get(), buffer, std::min(cut, sizeof buffer), 0);
    if (got > 0) {
        raw_received += static_cast<std::size_t>(got);
        BIO_write(in_, buffer, static_cast<int>(got));
    }
    if (got == 0 || (got < 0 && errno != EAGAIN)) closed = true;
}

void Client::decrypt() {
    if (!done_) {
        done_ = SSL_do_handshake(ssl_.get()) == 1;
        ERR_clear_error();
    }
    char buffer[16 * 1024];
    std::size_t got = 0;
    while (done_ && SSL_read_ex(ssl_.get(), buffer, sizeof buffer, &got) == 1) {
        received.append(buffer, got);
        records.push_back(got);
    }
    ended = ended || (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    ERR_clear_error();
}

void Client::flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    unsent_.append(data, static_cast<std::size_t>(size));
    (void)BIO_reset(out_);
    if (unsent_.empty()) return;
    const ssize_t put = ::send(fd_.get(), unsent_.data(), std::min(cut, unsent_.size()), MSG_NOSIGNAL);
    if (put > 0) unsent_.erase(0, static_cast<std::size_t>(put));
}

void Client::send(std::string_view text) {
    while (!text.empty()) {
        std::size_t put = 0;
        if (SSL_write_ex(ssl_.get(), text.data(), text.size(), &put) != 1) throw std::logic_error("client SSL_write");
        text.remove_prefix(put);
    }
}

void Client::send_raw(std::string_view bytes) {
    unsent_.append(bytes);
}

void Client::close_notify() {
    SSL_shutdown(ssl_.get());
}

void Client::fin() {
    flush();
    ::shutdown(fd_.get(), SHUT_WR);
}

void Client::update_key() {
    SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(ssl_.get());
}

std::string Client::alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

std::string Client::staple() const {
    unsigned char* data = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(ssl_.get(), &data);
    return size > 0 ? std::string(reinterpret_cast<char*>(data), static_cast<std::size_t>(size)) : std::string();
}

std::string Client::certificate_name() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    char name[256] = "";
    if (certificate != nullptr)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    return name;
}

namespace {

std::shared_ptr<const Identities> load(const config::Tls& tls, std::vector<Pem> pems, const TicketKeys& tickets) {
    static const Pem dev = dev_certificate(std::chrono::system_clock::now());
    if (pems.empty()) pems.push_back(dev);
    return Identities::load(tls, pems, tickets).value();
}

}  // namespace

World::World(const config::Tls& tls, const std::vector<Pem>& pems, std::vector<config::Protocol> protocols)
    : context(load(tls, pems, tickets), protocols) {}

World::~World() {
    reactor.cancel_all();
    for (int i = 0; i < 10; ++i) reactor.run_once(io::Duration::zero());
}

World::Connection::~Connection() {
    if (!stream) return;
    stream->socket().cancel();
    for (int i = 0; i < 5; ++i) stream->socket().reactor().run_once(io::Duration::zero());
}

World::Connection World::connect(const Wishes& wishes) {
    auto fds = io::socket_pair();
    auto socket = std::make_unique<io::Socket>(reactor, std::move(fds.first));
    return {std::make_unique<Stream>(std::move(socket)), std::make_unique<Client>(std::move(fds.second), wishes)};
}

World::Connection World::connected(const Wishes& wishes) {
    Connection connection = connect(wishes);
    bool accepted = false;
    outcome = {};
    reactor.spawn(accepts(*connection.stream, *this, outcome, accepted));
    until(
        *connection.client, [&] { return accepted && (connection.client->done() || outcome); }, 1000);
    if (!accepted) throw std::logic_error("the handshake hangs");
    settle(*connection.client);
    return connection;
}

void World::turn(Client& client) {
    reactor.run_once(io::Duration::zero());
    client.pump();
}

void World::deliver(Client& client) {
    client.pump();
    reactor.run_once(io::Duration::zero());
}

io::Task<void> accepts(Stream& stream, World& world, io::error_code& outcome, bool& done) {
    const auto accepted = co_await stream.accept(world.context, world.windows);
    if (accepted.has_error()) outcome = accepted.error();
    done = true;
}

}  // namespace edgeproxy::tls
