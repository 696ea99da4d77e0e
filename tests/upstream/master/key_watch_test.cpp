// SPDX-License-Identifier: Apache-2.0
// Certificate files that change: what is seen, when it is offered.
#include "upstream/master/key_watch.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "upstream/control/channel.hpp"

using namespace edgeproxy;
using namespace edgeproxy::master;
namespace fs = std::filesystem;

namespace {

/// A directory of its own, removed at the end.
struct Folder {
    fs::path path;
    Folder() {
        std::string name = (fs::temp_directory_path() / "key-watch-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(path / name, std::ios::binary) << text;
    }
    config::Config tls(const std::string& ocsp = "") const {
        config::Config config;
        config.tls.reload = std::chrono::seconds(10);
        config.tls.certificates.push_back(
            {path / "tls.crt", path / "tls.key", {}, ocsp.empty() ? "" : (path / ocsp).string(), {}});
        return config;
    }
    config::Config directory() const {
        config::Config config;
        config.tls.reload = std::chrono::seconds(10);
        config.tls.dir = path;
        return config;
    }
    void write_pair(const std::string& name, const std::string& text) const {
        write(name + ".crt", text);
        write(name + ".key", text + "-key");
    }
};

CertificateStock stock_of(const config::Config& config) {
    std::string error;
    CertificateStock stock;
    REQUIRE(read_certificates(config, stock, error));
    return stock;
}

KeyWatch watching(const config::Config& config) {
    return KeyWatch(config, stock_of(config));
}

std::string content(const io::UniqueFd& fd) {
    return fd ? control::read_sealed(fd, 4096).value() : std::string("-");
}

/// What one look and, if something changes, the next one offer: "cert key" each, or "error".
std::string offered(KeyWatch& watch) {
    std::string text;
    for (int i = 0; i < 2; ++i) {
        for (const KeyWatch::Change& change : watch.look()) {
            const std::string number = std::to_string(change.id.index);
            if (!change.error.empty()) {
                text += "error;";
            } else if (change.gone) {
                text += "gone " + number + ";";
            } else {
                text += (change.id.index > 0 ? number + ": " : "") + content(change.files.cert) + " " +
                        content(change.files.key) + ";";
            }
        }
        if (!watch.unsettled()) break;
    }
    return text;
}

}  // namespace

TEST_CASE("files that stay offer nothing; overwritten or renamed ones are offered once", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    KeyWatch watch = watching(folder.tls());
    CHECK(offered(watch).empty());
    folder.write("tls.crt", "c2");
    folder.write("tls.key", "k2");
    CHECK(offered(watch) == "c2 k2;");
    CHECK(offered(watch).empty());
    folder.write("new", "k3");
    fs::rename(folder.path / "new", folder.path / "tls.key");
    CHECK(offered(watch) == "c2 k3;");
    // The same bytes under another identity are nothing new.
    folder.write("new", "k3");
    fs::rename(folder.path / "new", folder.path / "tls.key");
    CHECK(offered(watch).empty());
}

TEST_CASE("every rotation of a Kubernetes volume is seen", "[master][key_watch]") {
    // tls.crt -> ..data/tls.crt, ..data -> ..2026_01: a rotation makes a directory and renames a new ..data over it.
    const Folder folder;
    const auto rotate = [&](const std::string& version) {
        const fs::path data = folder.path / (".." + version);
        fs::create_directory(data);
        std::ofstream(data / "tls.crt") << "c" << version;
        std::ofstream(data / "tls.key") << "k" << version;
        fs::create_directory_symlink(".." + version, folder.path / "..data_tmp");
        fs::rename(folder.path / "..data_tmp", folder.path / "..data");
    };
    rotate("1");
    fs::create_symlink("..data/tls.crt", folder.path / "tls.crt");
    fs::create_symlink("..data/tls.key", folder.path / "tls.key");
    KeyWatch watch = watching(folder.tls());
    for (const std::string version : {"2", "3", "4"}) {
        rotate(version);
        CHECK(offered(watch) == "c" + version + " k" + version + ";");
        fs::remove_all(folder.path / (".." + std::to_string(std::stoi(version) - 1)));
        CHECK(offered(watch).empty());
    }
}

TEST_CASE("a pair of which one half is written is not offered until it rests", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    KeyWatch watch = watching(folder.tls());
    folder.write("tls.crt", "c22");
    CHECK(watch.look().empty());
    CHECK(watch.unsettled());
    folder.write("tls.key", "k22");
    CHECK(watch.look().empty());
    CHECK(watch.unsettled());
    const auto changes = watch.look();
    REQUIRE(changes.size() == 1);
    CHECK(content(changes[0].files.cert) == "c22");
    CHECK(content(changes[0].files.key) == "k22");
    CHECK_FALSE(watch.unsettled());
}

TEST_CASE("a file that has gone is told once, and offered when it is back", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    KeyWatch watch = watching(folder.tls());
    fs::remove(folder.path / "tls.key");
    CHECK(offered(watch) == "error;");
    CHECK(offered(watch).empty());
    folder.write("tls.key", "k2");
    CHECK(offered(watch) == "c1 k2;");
}

TEST_CASE("an OCSP answer may come and go", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    const config::Config tls = folder.tls("answer");
    KeyWatch watch = watching(tls);
    CHECK_FALSE(stock_of(tls).begin()->second.ocsp);
    folder.write("answer", "o1");
    CHECK(watch.look().empty());
    const auto changes = watch.look();
    REQUIRE(changes.size() == 1);
    CHECK(content(changes[0].files.ocsp) == "o1");
    fs::remove(folder.path / "answer");
    CHECK(offered(watch) == "c1 k1;");
}

TEST_CASE("what is forgotten is offered again; an unreadable file names itself", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    KeyWatch watch = watching(folder.tls());
    watch.forget({0, 0});
    watch.forget({0, 7});
    CHECK(offered(watch) == "c1 k1;");
    fs::remove(folder.path / "tls.crt");
    std::string error;
    CertificateStock stock;
    CHECK_FALSE(read_certificates(folder.tls(), stock, error));
    CHECK_THAT(error, Catch::Contains("tls.crt") && Catch::Contains("No such file"));
}

TEST_CASE("pairs come and go in a directory", "[master][key_watch]") {
    const Folder folder;
    folder.write_pair("b", "b1");
    folder.write("ca.crt", "an authority without a key");
    folder.write("..data", "not ours");
    folder.write("chain.pem", "-----BEGIN CERTIFICATE-----");
    KeyWatch watch = watching(folder.directory());
    CHECK(watch.interval() == std::chrono::seconds(10));
    CHECK(offered(watch).empty());
    folder.write_pair("a", "a1");
    CHECK(offered(watch) == "1: a1 a1-key;");
    CHECK(offered(watch).empty());
    folder.write_pair("b", "b22");
    CHECK(offered(watch) == "b22 b22-key;");
    // Of a pair that is taken away one file goes first.
    fs::remove(folder.path / "b.key");
    CHECK(watch.look().empty());
    CHECK(watch.unsettled());
    fs::remove(folder.path / "b.crt");
    CHECK(offered(watch) == "gone 0;");
    CHECK(offered(watch).empty());
    const std::string both = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";
    folder.write("c.pem", both);
    CHECK(offered(watch) == "2: " + both + " " + both + ";");
    // One that comes back under its name has a number of its own.
    folder.write_pair("b", "b3");
    CHECK(offered(watch) == "3: b3 b3-key;");
}

TEST_CASE("a directory that is emptied, or cannot be read, is told once and takes nothing away",
          "[master][key_watch]") {
    const Folder folder;
    folder.write_pair("a", "a1");
    KeyWatch watch = watching(folder.directory());
    const bool all = GENERATE(true, false);
    const fs::path aside = folder.path.string() + ".aside";
    if (all) fs::rename(folder.path, aside);
    if (!all) fs::remove(folder.path / "a.key");
    CHECK(offered(watch) == "error;");
    CHECK(offered(watch).empty());
    CHECK(offered(watch).empty());
    if (all) fs::rename(aside, folder.path);
    folder.write_pair("a", "a2");
    CHECK(offered(watch) == "a2 a2-key;");
}

TEST_CASE("what had to stay is told to be gone again, until it is back", "[master][key_watch]") {
    const Folder folder;
    folder.write_pair("a", "a1");
    folder.write_pair("b", "b1");
    KeyWatch watch = watching(folder.directory());
    fs::remove(folder.path / "a.crt");
    CHECK(offered(watch) == "gone 0;");
    watch.keep({0, 0}, folder.path / "a.crt");
    CHECK(offered(watch) == "gone 0;");
    watch.keep({0, 0}, folder.path / "a.crt");
    folder.write_pair("a", "a2");
    CHECK(offered(watch) == "a2 a2-key;");
}

TEST_CASE("every set of certificates has its own numbers", "[master][key_watch]") {
    const Folder folder;
    folder.write("tls.crt", "c1");
    folder.write("tls.key", "k1");
    folder.write("secret", "open sesame");
    config::Config config = folder.tls();
    config.tls.reload = {};
    config.listeners.resize(2);
    config.listeners[1].own_tls = config.tls;
    config.listeners[1].own_tls->reload = std::chrono::seconds(3);
    config.listeners[1].own_tls->certificates[0].key_password_file = folder.path / "secret";
    const CertificateStock stock = stock_of(config);
    REQUIRE(stock.size() == 2);
    CHECK_FALSE(stock.at({0, 0}).password);
    CHECK(content(stock.at({1, 0}).password) == "open sesame");
    CHECK(stock.at({1, 0}).name == (folder.path / "tls.crt").string());
    KeyWatch watch(config, stock);
    CHECK(watch.interval() == std::chrono::seconds(3));
    folder.write("tls.key", "k2");
    std::vector<KeyWatch::Change> changes = watch.look();
    if (changes.empty()) changes = watch.look();
    REQUIRE(changes.size() == 1);  // the other set is never looked at
    CHECK(changes[0].id == control::KeyId{1, 0});
}
