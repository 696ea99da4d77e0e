// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

class Session;

/// The BIO between OpenSSL and a session: reads with `Session::pull`, writes with `Session::push`. Null without memory.
/// `session` must outlive it.
BIO* make_bio(Session& session);

}  // namespace edgeproxy::tls
