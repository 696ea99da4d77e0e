// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <vector>

#include "tls/io/fd.hpp"
#include "tls/openssl.hpp"

namespace edgeproxy::tls {

/// Runs TLS clients in a child process, so that their memory and instructions are not counted among the server's.
/// `talk` gets a connected SSL for each of `fds` (blocking), one after the other; the connections stay open until the
/// child ends. One child; ended by the destructor.
class FarClients {
 public:
    FarClients(std::vector<io::UniqueFd> fds, const std::function<void(SSL*)>& talk);
    ~FarClients();
    FarClients(const FarClients&) = delete;
    FarClients& operator=(const FarClients&) = delete;

 private:
    int pid_ = -1;
};

}  // namespace edgeproxy::tls
