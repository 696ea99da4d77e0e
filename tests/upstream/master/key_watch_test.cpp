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
    config::Tls tls(const std::string& below = "", const std::string& ocsp = "") const {
        config::Tls tls;
        const fs::path at = path / below;
        tls.certificates.push_back({at / "tls.crt", at / "tls.key", {}, ocsp.empty() ? "" : (at / ocsp).string(), {}});
        return tls;
    }
};

KeyWatch watching(const config::Tls& tls) {
    std::string error;
    std::vector<CertificateFiles> files;
    files.push_back(read_certificate_files(tls, 0, error).value());
    return KeyWatch(tls, files);
}

std::string content(const io::UniqueFd& fd) {
    return fd ? control::read_sealed(fd, 4096).value() : std::string("-");
}

/// What one look and, if something changes, the next one offer: "cert key" each, or "error".
std::string offered(KeyWatch& watch) {
    std::string text;
    for (int i = 0; i < 2; ++i) {
        for (const KeyWatch::Change& change : watch.look())
            text +=
                change.error.empty() ? content(change.files.cert) + " " + content(change.files.key) + ";" : "error;";
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
    const config::Tls tls = folder.tls("", "answer");
    KeyWatch watch = watching(tls);
    std::string error;
    CHECK_FALSE(read_certificate_files(tls, 0, error).value().ocsp);
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
    watch.forget(0);
    watch.forget(7);
    CHECK(offered(watch) == "c1 k1;");
    fs::remove(folder.path / "tls.crt");
    std::string error;
    CHECK_FALSE(read_certificate_files(folder.tls(), 0, error));
    CHECK_THAT(error, Catch::Contains("tls.crt") && Catch::Contains("No such file"));
}
