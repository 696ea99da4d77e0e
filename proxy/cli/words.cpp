// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/words.hpp"

#include <boost/version.hpp>

namespace edgeproxy::cli {

namespace {

constexpr std::string_view help = R"(  edgeproxy -c stack.yaml                run it
  edgeproxy dev main:app                 https here, new code with each save
  edgeproxy run -- COMMAND               without a file; both have --help
  edgeproxy check -c stack.yaml          find every mistake, start nothing
  edgeproxy reload -c stack.yaml         take over what changed in the file

TLS, HTTP/2, balancing and the supervision of app workers in one program and
one file. The smallest: listen: ":8443"; tls: dev; app: uvicorn main:app

  -c, --config FILE       else $EDGEPROXY_CONFIG, ./stack.yaml,
                          /etc/edgeproxy/stack.yaml
serve (the default)       --log-level LEVEL (trace debug info warn error),
                          --log-format auto|console|json
check (-t)                --format human|short|json, --no-files,
                          --strict: warnings fail as well
explain                   every setting with its value
version, help
Asked of the running one, found by its file or by --control SOCKET:
  status [--json]         pools and workers
  reload [--dry-run]      read the file again; --dry-run prints the difference
  restart POOL[/WORKER]   scale POOL N     drain, undrain POOL/WORKER
  stop [--now]            upgrade    reload, restart, upgrade: --timeout 30s
Exit codes: 0 done, 1 failed, 2 command line, 3 configuration, 4 cannot bind,
5 workers do not start, 6 nobody runs, 7 refused, 8 forced end, 9 --timeout over
)";

std::string_view compiler() {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "g++ " __VERSION__;
#else
    return "unknown";
#endif
}

}  // namespace

void print_help(std::ostream& out) {
    out << help;
}

void print_version(std::ostream& out, std::string_view openssl, std::string_view nghttp2) {
    out << "edgeproxy " EDGEPROXY_VERSION "\n"
        << "compiler  " << compiler() << "\n"
        << "OpenSSL   " << openssl << "\n"
        << "nghttp2   " << nghttp2 << "\n"
        << "Boost     " << BOOST_VERSION / 100'000 << "." << BOOST_VERSION / 100 % 1000 << "." << BOOST_VERSION % 100
        << "\n";
}

}  // namespace edgeproxy::cli
