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

/// New contents of the files of a certificate that is being served, or of one that was found in `tls.dir`.
struct Replacement {
    std::size_t index = 0;  ///< of the certificate: in the configuration, or behind those for what lies in `tls.dir`
    Pem pem;
    bool gone = false;  ///< it is not to be served any more (`tls.dir` only)
};

/// The certificates of a configuration, ready to serve: one SSL_CTX each, the index of their names, the policy.
///
/// Built off the reactors, immutable after that, shared by all listeners and reactors; connections keep what they use
/// alive by themselves. Versions, ciphers and groups are Mozilla's `modern` (TLS 1.3) or `intermediate` (TLS 1.2 and
/// 1.3, forward secret AEAD suites), unless the configuration has others. No session cache;
/// stateless tickets, one a handshake, which resume for the same certificate and the same rules about clients only
/// (ClientPolicy::session), also after a replacement. No early data.
class Identities {
 public:
    /// `pems` are the contents of `tls.certificates` in the same order, then what was found in `tls.dir` (without a
    /// chain: there is none with this index), or the development certificate alone when `tls.dev`. `tickets` must
    /// outlive the result. Gives the first certificate that cannot be served.
    static CertificateResult<std::shared_ptr<const Identities>> load(const config::Tls& tls, std::span<const Pem> pems,
                                                                     const TicketKeys& tickets);

    /// The same with other contents for some, with new ones and without those that are gone; the rest is shared. A
    /// certificate that cannot be served stays what it was, as does the last one, and `refused` says why. The names are
    /// found anew. Null when nothing changed.
    std::shared_ptr<const Identities> replaced(std::span<const Replacement> replacements,
                                               std::vector<CertificateError>& refused) const;

    /// What was loaded, by index, for the API and metrics. Without a subject: there is none with this index.
    const std::vector<CertificateInfo>& infos() const { return infos_; }
    /// Which of `infos` serves that SNI name: the default when it is empty or unknown, `NameIndex::none` when an
    /// unknown one is rejected.
    std::size_t choose(std::string_view host) const;
    SSL_CTX* ssl_ctx(std::size_t index) const;
    /// The rules about clients (ClientPolicy::rules) under which it is served.
    std::uint64_t rules(std::size_t index) const;
    /// Whether a request for `host` (a name without port, any case) may come over a connection that was made under
    /// `rules`: those of the certificate that serves the name are the same. Else 421 (RFC 9110, section 15.5.20).
    bool admits(std::uint64_t rules, std::string_view host) const;
    const TicketKeys& tickets() const { return tickets_; }

 private:
    struct Served;
    Identities(const config::Tls& tls, const TicketKeys& tickets) : tls_(tls), tickets_(tickets) {}
    static CertificateResult<std::shared_ptr<const Served>> serve(const config::Tls& tls, std::size_t index,
                                                                  const Pem& pem);
    bool has_any() const;
    bool remove(std::size_t index);
    void finish();

    const config::Tls tls_;
    const TicketKeys& tickets_;
    std::vector<std::shared_ptr<const Served>> served_;
    std::vector<CertificateInfo> infos_;
    NameIndex names_;
    std::size_t default_ = 0;       ///< the one that says so, else the first that is there
    std::uint64_t only_rules_ = 0;  ///< of all certificates; 0 = they differ
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
