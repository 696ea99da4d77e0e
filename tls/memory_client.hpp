// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "tls/client_context.hpp"

namespace edgeproxy::tls {

/// The client side of TLS between two texts, for who has its own sockets (health probes). Not for the proxied path: it
/// copies and allocates.
class MemoryClient {
 public:
    /// `context` must outlive the constructor only.
    MemoryClient(const ClientContext& context, const ClientPeer& peer);

    /// Takes in bytes of the peer and goes on with the handshake or reading. False: it failed, `why` tells.
    bool feed(std::string_view bytes);
    /// Application data may flow.
    bool established() const { return established_; }
    /// The peer has said that nothing follows.
    bool ended() const { return ended_; }
    const std::string& why() const { return why_; }
    bool has_h2() const;
    /// Encrypts; only once established.
    void write(std::string_view text);
    /// What has come, decrypted.
    std::string take_input() { return std::move(input_); }
    /// What is to be sent to the peer.
    std::string take_output();

 private:
    bool failed(int result);

    UniqueSsl ssl_;
    BIO* from_peer_ = nullptr;  // of ssl_
    BIO* to_peer_ = nullptr;
    std::string input_;
    std::string why_;
    bool established_ = false, ended_ = false;
};

}  // namespace edgeproxy::tls
