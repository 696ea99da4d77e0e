// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "tls/certificates.hpp"
#include "tls/names.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

class TicketKeys;

/// The certificates of a configuration, ready to serve: one SSL_CTX each, the index of their names, the policy.
///
/// Built off the reactors, immutable after that, shared by all listeners and reactors; connections keep what they use
/// alive by themselves. Versions, ciphers and groups are Mozilla's `modern` (TLS 1.3) or `intermediate` (TLS 1.2 and
/// 1.3, forward secret AEAD suites, the client's order). No session cache; stateless tickets, one a handshake.
class Identities {
 public:
    /// `pems` are the contents of `tls.certificates` in the same order, or the development certificate alone when
    /// `tls.dev`. `tickets` must outlive the result. Gives the first certificate that cannot be served.
    static CertificateResult<std::shared_ptr<const Identities>> load(const config::Tls& tls, std::span<const Pem> pems,
                                                                     const TicketKeys& tickets);

    /// What was loaded, for the API and metrics; the first is the default.
    const std::vector<CertificateInfo>& infos() const { return infos_; }
    /// Which of `infos` serves that SNI name: the default's 0 when it is empty or unknown, `NameIndex::none` when an
    /// unknown one is rejected.
    std::size_t choose(std::string_view host) const;
    SSL_CTX* ssl_ctx(std::size_t index) const { return contexts_[index].get(); }
    const TicketKeys& tickets() const { return tickets_; }

 private:
    explicit Identities(const TicketKeys& tickets) : tickets_(tickets) {}
    const TicketKeys& tickets_;
    std::vector<UniqueSslCtx> contexts_;
    std::vector<CertificateInfo> infos_;
    NameIndex names_;
    config::UnknownHost unknown_host_ = config::UnknownHost::use_default;
};

/// What a listener needs to become the server side of TLS: the identities and its own ALPN list. Immutable; must live
/// as long as handshakes that use it, not as long as their connections.
class Context {
 public:
    /// `protocols` in order of preference; ours decides (RFC 7301, section 3.2).
    Context(std::shared_ptr<const Identities> identities, std::span<const config::Protocol> protocols);

    const Identities& identities() const { return *identities_; }
    /// The protocol of ours that a client's list (wire form, RFC 7301 section 3.1) offers; empty when none.
    std::string_view choose_protocol(std::string_view offered) const;

 private:
    std::shared_ptr<const Identities> identities_;
    std::vector<std::string_view> protocols_;  ///< static storage
};

}  // namespace edgeproxy::tls
