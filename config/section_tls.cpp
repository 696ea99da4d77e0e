// SPDX-License-Identifier: Apache-2.0
#include "config/fields.hpp"
#include "config/section.hpp"

namespace edgeproxy::config {

namespace {

/// As a default is written in the field table: "h2,http/1.1".
std::string joined(const std::vector<Protocol>& protocols) {
    std::string text;
    for (const Protocol protocol : protocols)
        text += (text.empty() ? "" : ",") + write_value(*find_field("tls.alpn"), protocol);
    return text;
}

}  // namespace

void Section::default_protocols(const std::vector<Protocol>& alpn) {
    scope_.alpn = joined(alpn);
}

void Section::own_tls(Listener& listener) {
    const Entry* found = entry("tls");
    std::string alpn = scope_.alpn;
    if (found != nullptr && found->value->is(Node::Kind::map)) {
        listener.tls = true;
        Section child{scope_, found->value, "tls", path_of("tls"), traits_};
        fields(child, listener.own_tls.emplace());
        alpn = joined(listener.own_tls->alpn);
    } else {
        (*this)("tls", listener.tls);
    }
    if (listener.tls && !alpn.empty()) scope_.computed[path_of("protocols")] = alpn;
}

}  // namespace edgeproxy::config
