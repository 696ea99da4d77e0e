// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/dev_files.hpp"

#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "tls/certificates.hpp"

using namespace edgeproxy;
using namespace edgeproxy::cli;
using std::chrono::hours;

namespace {

struct Folder {
    Folder() {
        char pattern[] = "/tmp/edgeproxy-dev-XXXXXX";
        path = ::mkdtemp(pattern);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

unsigned mode(const std::string& path) {
    struct stat status {};
    ::stat(path.c_str(), &status);
    return status.st_mode & 0777;
}

constexpr hours day{24};

}  // namespace

TEST_CASE("development certificates are made once, renewed in time, and survive what happens to files", "[cli][dev]") {
    const Folder folder;
    const DevFiles files = dev_files(folder.path + "/state");
    const auto now = std::chrono::system_clock::now();
    std::string error;
    REQUIRE(make_dev_files(files, "", now, error));
    const std::string ca = read(files.authority), cert = read(files.cert);
    CHECK(mode(files.key) == 0600);
    CHECK(mode(folder.path + "/state/dev/ca.key") == 0600);
    CHECK(tls::load_certificate(cert, read(files.key)).has_value());

    REQUIRE(make_dev_files(files, "", now + 19 * day, error));
    CHECK(read(files.cert) == cert);
    REQUIRE(make_dev_files(files, "", now + 22 * day, error));
    CHECK(read(files.cert) != cert);
    CHECK(read(files.authority) == ca);

    std::ofstream(files.cert) << "nonsense";
    REQUIRE(make_dev_files(files, "", now, error));
    CHECK(tls::load_certificate(read(files.cert), read(files.key)).has_value());

    std::filesystem::remove(folder.path + "/state/dev/ca.key");  // nobody can sign any more: a new authority
    REQUIRE(make_dev_files(files, "", now, error));
    CHECK(read(files.authority) != ca);
    const auto leaf = tls::load_certificate(read(files.cert), read(files.key));
    const auto authority = tls::load_certificate(read(files.authority), read(folder.path + "/state/dev/ca.key"));
    REQUIRE(leaf.has_value());
    REQUIRE(authority.has_value());
    CHECK(tls::is_signed_by(*leaf, *authority));
    CHECK(error.empty());
}

TEST_CASE("the authority of mkcert is used where there is one", "[cli][dev]") {
    const Folder folder;
    const DevFiles files = dev_files(folder.path + "/state");
    const auto now = std::chrono::system_clock::now();
    const tls::Pem root = tls::dev_authority(now);
    std::ofstream(folder.path + "/rootCA.pem") << root.chain;
    std::string error;
    REQUIRE(make_dev_files(files, folder.path, now, error));  // without a key it is of no use
    CHECK(read(files.authority) != root.chain);
    std::ofstream(folder.path + "/rootCA-key.pem") << root.key;
    REQUIRE(make_dev_files(files, folder.path, now, error));
    CHECK(read(files.authority) == root.chain);
    const auto leaf = tls::load_certificate(read(files.cert), read(files.key));
    const auto authority = tls::load_certificate(root.chain, root.key);
    REQUIRE(leaf.has_value());
    REQUIRE(authority.has_value());
    CHECK(tls::is_signed_by(*leaf, *authority));
    CHECK(read(files.key).find(root.key) == std::string::npos);
}

TEST_CASE("where nothing can be kept it is said", "[cli][dev]") {
    std::string error;
    CHECK_FALSE(make_dev_files(dev_files("/proc/nowhere"), "", std::chrono::system_clock::now(), error));
    CHECK(error.find("/proc/nowhere/dev") != std::string::npos);
    config::Config config;
    config.server.state_dir = "/proc/nowhere";
    error.clear();
    add_dev_files(config, error);
    CHECK(error.empty());  // nobody asked for it
    config.tls.dev = true;
    add_dev_files(config, error);
    CHECK_FALSE(error.empty());
    CHECK(config.tls.certificates.empty());
}

TEST_CASE("mkcert keeps its authority where it says", "[cli][dev]") {
    using Variables = std::map<std::string, std::string>;
    const auto [variables, path] = GENERATE(table<Variables, std::string>({
        {Variables{{"CAROOT", "/ca"}, {"HOME", "/home/a"}}, "/ca"},
        {Variables{{"XDG_DATA_HOME", "/data"}, {"HOME", "/home/a"}}, "/data/mkcert"},
        {Variables{{"HOME", "/home/a"}}, "/home/a/.local/share/mkcert"},
        {Variables{{"CAROOT", "relative"}}, ""},
    }));
    const auto lookup = [variables = variables](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    CHECK(mkcert_folder(lookup) == path);
}
