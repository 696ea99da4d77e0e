// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/words.hpp"

#include <boost/version.hpp>

namespace edgeproxy::cli {

namespace {

constexpr std::string_view help = R"(  edgeproxy -c stack.yaml                run it
  edgeproxy dev main:app                 https here, new code with each save
  edgeproxy run -- COMMAND               without a file; both have --help
  edgeproxy check -c stack.yaml          find every mistake, start nothing
  edgeproxy explain -c stack.yaml        show every setting with its value

edgeproxy is TLS, HTTP/2, balancing and the supervision of app workers in one
program and one file. The smallest file:

  listen: ":8443"
  tls: dev
  app: uvicorn main:app

Commands: serve (the default), dev, run, check, explain, version, help
  -c, --config FILE       else $EDGEPROXY_CONFIG, ./stack.yaml,
                          /etc/edgeproxy/stack.yaml
serve:
  --log-level LEVEL       trace, debug, info, warn, error
  --log-format FORMAT     auto, console, json
check:
  --format FORMAT         human, short, json
  --strict                warnings fail as well
  --no-files              without certificates, users, programs, directories
Exit codes: 0 done, 2 command line, 3 configuration, 4 cannot bind
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
