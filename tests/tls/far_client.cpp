// SPDX-License-Identifier: Apache-2.0
#include "far_client.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace edgeproxy::tls {
namespace {

void run(std::vector<io::UniqueFd>& fds, const std::function<void(SSL*)>& talk) {
    SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
    for (io::UniqueFd& fd : fds) {
        ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
        SSL* ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd.get());
        if (SSL_connect(ssl) == 1) talk(ssl);
    }
}

}  // namespace

FarClients::FarClients(std::vector<io::UniqueFd> fds, const std::function<void(SSL*)>& talk) : pid_(::fork()) {
    if (pid_ != 0) return;
    run(fds, talk);
    for (;;) ::pause();
}

FarClients::~FarClients() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

}  // namespace edgeproxy::tls
