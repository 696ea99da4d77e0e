// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "config/config.hpp"
#include "proxy/snapshot.hpp"
#include "tls/context.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::proxy {

/// Keys on their way from the master into what listeners serve. Holds a secret no longer than it has to. Control
/// thread.
class ListenerKeys {
 public:
    /// What came; the next `load` or `replace` uses it.
    void take(const control::KeyMaterial& material);
    /// All that came, those for endpoints too.
    const std::map<control::KeyId, tls::Pem>& pems() const { return pems_; }
    /// It is not needed any more.
    void forget();

    /// Every set that a listener uses; null when none has TLS. Forgets. Throws std::runtime_error with file and reason
    /// when a certificate cannot be served.
    std::shared_ptr<const TlsSets> load(const config::Config& config, const tls::TicketKeys& tickets);

    struct Replaced {
        std::shared_ptr<const TlsSets> sets;  ///< null when nothing changed
        control::KeysResult result;
        std::size_t replaced = 0, refused = 0;  ///< certificates
    };
    /// What can be served of what came and went; the rest stays as it is in `now`. Forgets.
    Replaced replace(const std::shared_ptr<const TlsSets>& now, const control::KeysChanged& changed);

 private:
    std::shared_ptr<const tls::Identities> load_set(const config::Tls& tls, std::uint32_t set,
                                                    const tls::TicketKeys& tickets);

    std::map<control::KeyId, tls::Pem> pems_;
    std::optional<tls::Pem> dev_;  ///< the same over reloads: whoever trusts it goes on trusting it
};

}  // namespace edgeproxy::proxy
