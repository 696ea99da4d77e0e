// SPDX-License-Identifier: Apache-2.0
// TLS in the plan: where certificates come from, and what a listener has of its own.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/key_pairs.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;
namespace fs = std::filesystem;

namespace {

const std::string app = "app: prog\n";

}  // namespace

TEST_CASE("a listener's own tls says what is different, the rest is as for all", "[config][tls]") {
    const Config config = plan(R"(
tls: { cert: a.pem, key: b.pem, hsts: 1y, min_version: 1.2, session: { tickets: false } }
listeners:
  web: { address: ":443" }
  admin: { address: ":9443", tls: { profile: modern, min_version: 1.3, client_auth: { mode: require, ca: ca.pem } } }
  other: { address: ":8443", tls: { cert: c.pem, key: d.pem, hsts: off } }
  plain: { address: ":8080" }
app: prog
)");
    REQUIRE(config.listeners.size() == 4);
    CHECK_FALSE(config.listeners[0].own_tls);
    CHECK(config.listeners[0].tls);
    const Tls& admin = config.listeners[1].own_tls.value();
    CHECK(admin.certificates == config.tls.certificates);
    CHECK(admin.client_auth.mode == ClientAuthMode::require);
    CHECK(admin.min_version == TlsVersion::tls13);
    CHECK(admin.hsts == config.tls.hsts);
    CHECK_FALSE(admin.tickets);
    CHECK(config.listeners[1].tls);
    const Tls& other = config.listeners[2].own_tls.value();
    REQUIRE(other.certificates.size() == 1);
    CHECK(other.certificates[0].cert == "/srv/c.pem");
    CHECK(other.hsts.count() == 0);
    CHECK(other.client_auth.mode == ClientAuthMode::none);
    CHECK_FALSE(config.listeners[3].tls);

    REQUIRE(config.tls_sets() == std::vector<const Tls*>{&config.tls, &admin, &other});
    CHECK(config.tls_set_of(config.listeners[0]) == 0);
    CHECK(config.tls_set_of(config.listeners[1]) == 1);
    CHECK(config.tls_set_of(config.listeners[2]) == 2);
}

TEST_CASE("a listener may have TLS though the top level has none", "[config][tls]") {
    const Config config = plan("listeners: { a: { address: \":443\", tls: { dir: certs } } }\n" + app);
    CHECK(config.listeners[0].own_tls->dir == "/srv/certs");
    CHECK(config.listeners[0].tls);
    CHECK_FALSE(config.tls.has_certificates());
    // Where the certificates come from goes together.
    const Config dev = plan("tls: { dir: certs }\nlisteners: { a: { address: \":443\", tls: { dev: true } } }\n" + app);
    CHECK(dev.listeners[0].own_tls->dir.empty());
    CHECK(dev.listeners[0].addresses[0].host == "127.0.0.1");
}

TEST_CASE("alpn is what TLS listeners speak that do not say it", "[config][tls]") {
    const std::vector<Protocol> old{Protocol::http1}, both{Protocol::h2, Protocol::http1};
    const std::string tls = "tls: { cert: a, key: b, alpn: [http/1.1] }\n";
    CHECK(plan("listen: \":443\"\n" + tls + app).listeners[0].protocols == old);
    CHECK(plan("listen: \":443\"\ntls: { cert: a, key: b }\n" + app).listeners[0].protocols == both);
    const Config several = plan(tls + R"(
listeners:
  says: { address: ":443", protocols: [h2, http/1.1] }
  own: { address: ":444", tls: { alpn: [h2, http/1.1] } }
  inherits: { address: ":445", tls: { hsts: 1y } }
  plain: { address: ":80" }
app: prog
)");
    CHECK(several.listeners[0].protocols == both);
    CHECK(several.listeners[1].protocols == both);
    CHECK(several.listeners[2].protocols == old);
    CHECK(several.listeners[3].protocols == old);
}

TEST_CASE("what is wrong with TLS is said at its place", "[config][tls]") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"listen: \":443\"\ntls: { certificates: [{ cert: a, key: b, default: true }, { cert: c, key: d, default: true "
         "}] }\n",
         "2:87+4 error written-twice: another certificate is the default already | \n"},
        {"listen: \":443\"\ntls: { cert: a, key: b, alpn: [h2, h2] }\n",
         "2:25+4 error written-twice: a protocol is written twice | \n"},
        {"listen: \":443\"\ntls: { cert: a, key: b, alpn: [http/2] }\n", "2:32+6 error bad-word: "},
        {"listen: \":443\"\ntls: { dev: true, dir: certs }\n",
         "2:13+4 error written-twice: write either dev or certificates, not both | \n"},
        {"listeners: { a: { address: \":443\", tls: { hsts: 1y } } }\n",
         "1:36+3 error missing-key: \"listeners.a.tls\" has no certificate | "},
        {"listeners: { a: { address: \":443\", tls: { cert: x } } }\n",
         "1:43+4 error missing-key: \"listeners.a.tls.cert\" needs \"listeners.a.tls.key\" beside it"},
        {"listeners: { a: { address: \":443\", tls: { cert: x, key: y, hsst: 1y } } }\n",
         "1:60+4 error unknown-key: unknown key \"hsst\" in listeners.a.tls | did you mean \"hsts\"?"},
        {"listeners: { a: { address: \":443\", tls: { cert: x, key: y, client_auth: { mode: require } } } }\n",
         "1:60+11 error missing-key: \"listeners.a.tls.client_auth\" needs \"ca\""},
        {"listen: \":80\"\npools: { p: { endpoints: [{ address: \"http://a:1\", tls: { ca: x } }] } }\n",
         "2:52+3 error no-effect: \"tls\" needs an https:// endpoint"},
        {"listen: \":80\"\npools: { p: { endpoints: [{ address: \"https://a:1\", tls: { cert: x } }] } }\n",
         "2:53+3 error missing-key: \"tls\" needs \"key\" as well"},
    }));
    const bool has_pool = text.find("pools") != std::string::npos;
    const std::string found = problems_of(text + (has_pool ? "" : app));
    INFO(found);
    CHECK(found.find(expected) != std::string::npos);
}

TEST_CASE("what a listener takes over is complained about once", "[config][tls]") {
    const std::string found = problems_of(
        "tls: { cert: a, key: b, hsts: soon }\nlisteners: { x: { address: \":443\", tls: { profile: modern } } }\n" +
        app);
    CHECK(found.find("bad-duration") != std::string::npos);
    CHECK(found.find("bad-duration") == found.rfind("bad-duration"));
}

TEST_CASE("TLS to an endpoint is its own, or the pool's", "[config][tls]") {
    const Config config = plan(R"(
listen: ":80"
pools:
  p:
    endpoints: ["https://a:1", { address: "https://b:1", tls: { ca: b.pem, server_name: b.test } }]
    tls: { ca: all.pem }
)");
    const Pool& pool = config.pools[0];
    CHECK(Config::tls_of(pool, pool.endpoints[0]).ca == "/srv/all.pem");
    CHECK(Config::tls_of(pool, pool.endpoints[1]).ca == "/srv/b.pem");
    CHECK(Config::tls_of(pool, pool.endpoints[1]).server_name == "b.test");
    REQUIRE(config.endpoint_files().size() == 2);
    CHECK(config.endpoint_files()[1].chain == "/srv/b.pem");
}

TEST_CASE("pairs of a directory are found by name", "[config][tls]") {
    std::string folder = (fs::temp_directory_path() / "key-pairs-XXXXXX").string();
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    const auto write = [&](const std::string& name, const std::string& text) {
        std::ofstream(folder + "/" + name) << text;
    };
    for (const char* name :
         {"b.crt", "b.key", "a.crt", "a.key", "ca.crt", "lost.key", ".hidden.crt", ".hidden.key", "README"})
        write(name, "x");
    write("both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n");
    write("chain.pem", "-----BEGIN CERTIFICATE-----\n");
    fs::create_directory(folder + "/d.crt");
    write("d.key", "x");
    const KeyPairs found = find_key_pairs(folder);
    CHECK(found.error.empty());
    REQUIRE(found.pairs.size() == 3);
    CHECK(found.pairs[0].chain == folder + "/a.crt");
    CHECK(found.pairs[0].key == folder + "/a.key");
    CHECK(found.pairs[1].chain == folder + "/b.crt");
    CHECK(found.pairs[2].chain == folder + "/both.pem");
    CHECK(found.pairs[2].key == folder + "/both.pem");
    CHECK(found.unpaired == std::vector<std::string>{"ca.crt", "d.key", "lost.key"});
    fs::remove_all(folder);
    CHECK(find_key_pairs(folder).error.find("No such file") != std::string::npos);
}
