// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/key_watch.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "upstream/control/channel.hpp"

namespace edgeproxy::master {
namespace {

/// The coarsest clock of a file system that we expect.
constexpr std::chrono::seconds coarse{1};

constexpr std::size_t largest = 1024 * 1024;  ///< bytes of a file
constexpr std::size_t ocsp = 2;               ///< may be missing

/// cert, key, ocsp, client_ca, client_crl; empty = not named.
std::array<std::string, 5> paths_of(const config::Tls& tls, std::size_t index) {
    const config::Certificate& certificate = tls.certificates[index];
    const config::ClientAuth& client = certificate.client_auth ? *certificate.client_auth : tls.client_auth;
    const bool asked = client.mode != config::ClientAuthMode::none;
    return {certificate.cert, certificate.key, certificate.ocsp, asked ? client.ca : "", asked ? client.crl : ""};
}

template <class Files>
auto places_in(Files& files) {
    return std::array{&files.cert, &files.key, &files.ocsp, &files.client_ca, &files.client_crl};
}

void mix(std::uint64_t& content, std::size_t place, const std::string& text) {
    content = content * 31 + std::hash<std::string>{}(text) + place + 1;
}

/// False with `error`.
bool read_file(const std::string& path, std::string& content, std::string& error) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    content = text.str();
    if (!file && !(file.is_open() && content.empty() && errno == 0)) {
        error = fmt::format("cannot read {}: {}", path, std::strerror(errno));
        return false;
    }
    if (content.size() > largest) {
        error = fmt::format("{} is too large for a certificate or a key", path);
        return false;
    }
    return true;
}

/// Reads all, and tells what their contents are by a hash.
std::optional<CertificateFiles> read_all(const std::array<std::string, 5>& paths, std::uint64_t& content,
                                         std::string& error) {
    CertificateFiles files;
    const auto places = places_in(files);
    content = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        std::string text;
        if (paths[i].empty()) continue;
        if (!read_file(paths[i], text, error)) {
            if (i != ocsp) return std::nullopt;
            error.clear();
            continue;
        }
        auto sealed = control::make_sealed(i == 1 ? "key" : "certificate", text);
        if (!sealed) {
            error = fmt::format("cannot keep {}: {}", paths[i], sealed.error().message());
            return std::nullopt;
        }
        *places[i] = std::move(*sealed);
        mix(content, i, text);
    }
    return files;
}

}  // namespace

std::optional<CertificateFiles> read_certificate_files(const config::Tls& tls, std::size_t index, std::string& error) {
    std::uint64_t content = 0;
    return read_all(paths_of(tls, index), content, error);
}

KeyWatch::KeyWatch(const config::Tls& tls, std::span<const CertificateFiles> files)
    : tls_(tls), watched_(tls.certificates.size()) {
    for (std::size_t i = 0; i < std::min(watched_.size(), files.size()); ++i) {
        Watched& watched = watched_[i];
        watched.offered = watched.seen = identify(i);
        watched.young = true;  // it may have changed since it was read
        const auto places = places_in(files[i]);
        for (std::size_t place = 0; place < places.size(); ++place) {
            if (!*places[place]) continue;
            if (const auto text = control::read_sealed(*places[place], largest)) mix(watched.content, place, *text);
        }
    }
}

KeyWatch::Identities KeyWatch::identify(std::size_t index) const {
    const auto paths = paths_of(tls_, index);
    Identities found{};
    for (std::size_t i = 0; i < paths.size(); ++i) {
        struct stat status {};
        if (paths[i].empty() || ::stat(paths[i].c_str(), &status) != 0) continue;
        found[i] = {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                    status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
    }
    return found;
}

std::vector<KeyWatch::Change> KeyWatch::look() {
    std::vector<Change> changes;
    unsettled_ = false;
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        if (auto change = look_at(i)) changes.push_back(std::move(*change));
    }
    return changes;
}

std::optional<KeyWatch::Change> KeyWatch::look_at(std::size_t index) {
    Watched& watched = watched_[index];
    const Identities now = identify(index);
    const bool same = now == watched.offered;
    if (same && !watched.young) return std::nullopt;
    if (now != watched.seen) {
        watched.seen = now;
        unsettled_ = true;
        return std::nullopt;
    }
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t fresh = std::chrono::nanoseconds(wall - coarse).count();
    watched.young = std::any_of(now.begin(), now.end(), [&](const Identity& one) { return one.changed > fresh; });
    Change change;
    change.index = index;
    std::uint64_t content = 0;
    auto files = read_all(paths_of(tls_, index), content, change.error);
    if (identify(index) != now) {  // written while we read
        unsettled_ = true;
        return std::nullopt;
    }
    watched.offered = now;
    if (files && content == watched.content) return std::nullopt;
    if (!files && same) return std::nullopt;  // was told
    watched.content = files ? content : 0;
    if (files) change.files = std::move(*files);
    return change;
}

void KeyWatch::forget(std::size_t index) {
    if (index < watched_.size()) watched_[index] = {};
}

}  // namespace edgeproxy::master
