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
#include <utility>

#include "config/key_pairs.hpp"
#include "upstream/control/channel.hpp"

namespace edgeproxy::master {
namespace {

/// The coarsest clock of a file system that we expect.
constexpr std::chrono::seconds coarse{1};

constexpr std::size_t ocsp = 2;                               ///< may be missing
constexpr std::size_t most_gone = control::max_refusals / 2;  ///< in a look at a directory; the rest follows

/// What is read for a certificate besides chain and key.
CertificatePaths paths_of(const config::KeyFiles& pair, const config::ClientAuth& client) {
    const bool asked = client.mode != config::ClientAuthMode::none;
    return {pair.chain, pair.key, "", asked ? client.ca : "", asked ? client.crl : "", ""};
}

CertificatePaths paths_of(const config::Tls& tls, const config::Certificate& certificate) {
    CertificatePaths paths = paths_of({certificate.cert, certificate.key},
                                      certificate.client_auth ? *certificate.client_auth : tls.client_auth);
    paths[ocsp] = certificate.ocsp;
    paths.back() = certificate.key_password_file;
    return paths;
}

template <class Files>
auto places_in(Files& files) {
    return std::array{&files.cert, &files.key, &files.ocsp, &files.client_ca, &files.client_crl, &files.password};
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
    if (content.size() > config::largest_pem) {
        error = fmt::format("{} is too large for a certificate or a key", path);
        return false;
    }
    return true;
}

/// Reads all, and tells what their contents are by a hash.
std::optional<CertificateFiles> read_all(const CertificatePaths& paths, std::uint64_t& content, std::string& error) {
    CertificateFiles files;
    files.name = paths.front();
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
        auto sealed = control::make_sealed(i == 1 || i + 1 == paths.size() ? "key" : "certificate", text);
        if (!sealed) {
            error = fmt::format("cannot keep {}: {}", paths[i], sealed.error().message());
            return std::nullopt;
        }
        *places[i] = std::move(*sealed);
        mix(content, i, text);
    }
    return files;
}

bool read_into(CertificateStock& stock, control::KeyId id, const CertificatePaths& paths, std::string& error) {
    auto files = read_certificate_files(paths, error);
    if (files) stock[id] = std::move(*files);
    return files.has_value();
}

}  // namespace

std::optional<CertificateFiles> read_certificate_files(const CertificatePaths& paths, std::string& error) {
    std::uint64_t content = 0;
    return read_all(paths, content, error);
}

bool read_certificates(const config::Config& config, CertificateStock& stock, std::string& error) {
    const auto sets = config.tls_sets();
    for (std::uint32_t set = 0; set < sets.size(); ++set) {
        const config::Tls& tls = *sets[set];
        std::uint32_t index = 0;
        for (const config::Certificate& certificate : tls.certificates) {
            if (!read_into(stock, {set, index++}, paths_of(tls, certificate), error)) return false;
        }
        if (tls.dir.empty()) continue;
        const config::KeyPairs found = config::find_key_pairs(tls.dir);
        error = found.error;
        if (error.empty() && found.pairs.empty() && tls.certificates.empty())
            error = "there is no certificate with its key in " + tls.dir;
        if (!error.empty()) return false;
        for (const config::KeyFiles& pair : found.pairs) {
            if (!read_into(stock, {set, index++}, paths_of(pair, tls.client_auth), error)) return false;
        }
    }
    return true;
}

KeyWatch::KeyWatch(const config::Config& config, const CertificateStock& stock) : config_(config) {
    const auto sets = config_.tls_sets();
    for (std::uint32_t set = 0; set < sets.size(); ++set) {
        const config::Tls& tls = *sets[set];
        const bool any = !tls.certificates.empty() || !tls.dir.empty();
        if (tls.reload.count() == 0 || !any) continue;
        interval_ = interval_.count() == 0 ? tls.reload : std::min(interval_, tls.reload);
        std::uint32_t index = 0;
        for (const config::Certificate& certificate : tls.certificates)
            watch({set, index++}, paths_of(tls, certificate), false, stock);
        if (tls.dir.empty()) continue;
        for (const auto& [id, files] : stock) {
            if (id.set != set || id.index < tls.certificates.size()) continue;
            const bool both = files.name.ends_with(".pem");
            const std::string key = both ? files.name : files.name.substr(0, files.name.size() - 4) + ".key";
            watch(id, paths_of({files.name, key}, tls.client_auth), true, stock);
            index = std::max(index, id.index + 1);
        }
        directories_.push_back({set, index, {}});
    }
}

void KeyWatch::watch(control::KeyId id, CertificatePaths paths, bool found, const CertificateStock& stock) {
    Watched& watched = watched_.emplace_back();
    watched.id = id;
    watched.paths = std::move(paths);
    watched.found = found;
    const auto files = stock.find(id);
    if (files == stock.end()) return;
    watched.offered = watched.seen = identify(watched.paths);
    watched.young = true;  // it may have changed since it was read
    const auto places = places_in(files->second);
    for (std::size_t place = 0; place < places.size(); ++place) {
        if (!*places[place]) continue;
        if (const auto text = control::read_sealed(*places[place], config::largest_pem))
            mix(watched.content, place, *text);
    }
}

KeyWatch::Identities KeyWatch::identify(const CertificatePaths& paths) {
    Identities found{};
    for (std::size_t i = 0; i < paths.size(); ++i) {
        struct stat status {};
        if (paths[i].empty() || ::stat(paths[i].c_str(), &status) != 0) continue;
        found[i] = {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                    status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
    }
    return found;
}

/// Newcomers are watched from now on, as if they had changed; who is missing for the second time is gone.
void KeyWatch::look_into(Directory& directory, std::vector<Change>& changes) {
    const config::Tls& tls = *config_.tls_sets()[directory.set];
    const config::KeyPairs found = config::find_key_pairs(tls.dir);
    for (Watched& watched : watched_) {
        if (watched.found && watched.id.set == directory.set) watched.is_there = false;
    }
    if (!found.error.empty()) return tell_once(directory, found.error, changes);
    for (const config::KeyFiles& pair : found.pairs) {
        const auto known = std::find_if(watched_.begin(), watched_.end(), [&](const Watched& one) {
            return one.found && one.id.set == directory.set && one.paths.front() == pair.chain;
        });
        if (known == watched_.end()) {
            watch({directory.set, directory.next_index++}, paths_of(pair, tls.client_auth), true, {});
        } else {
            known->paths = paths_of(pair, tls.client_auth);
            known->is_there = true;
            known->missing = false;
        }
    }
    const bool any = !tls.certificates.empty() || !found.pairs.empty();
    if (!any) return tell_once(directory, "there is no certificate with its key left in " + tls.dir, changes);
    directory.error.clear();
    drop_missing(directory, changes);
}

void KeyWatch::tell_once(Directory& directory, std::string error, std::vector<Change>& changes) {
    if (directory.error == error) return;
    directory.error = error;
    changes.push_back({{directory.set, 0}, {}, {}, false, std::move(error)});
}

void KeyWatch::drop_missing(const Directory& directory, std::vector<Change>& changes) {
    std::size_t gone = 0;
    for (Watched& watched : watched_) {
        if (watched.is_there || watched.id.set != directory.set) continue;
        if (std::exchange(watched.missing, true) && gone < most_gone) {
            ++gone;
            changes.push_back({watched.id, watched.paths.front(), {}, true, {}});
        } else {
            unsettled_ = true;
        }
    }
    if (gone == 0) return;
    std::erase_if(watched_, [&](const Watched& one) {
        return std::any_of(changes.begin(), changes.end(),
                           [&](const Change& change) { return change.gone && change.id == one.id; });
    });
}

std::vector<KeyWatch::Change> KeyWatch::look() {
    std::vector<Change> changes;
    unsettled_ = false;
    for (Directory& directory : directories_) look_into(directory, changes);
    for (Watched& watched : watched_) {
        if (!watched.is_there) continue;
        if (auto change = look_at(watched)) changes.push_back(std::move(*change));
    }
    return changes;
}

std::optional<KeyWatch::Change> KeyWatch::look_at(Watched& watched) {
    const Identities now = identify(watched.paths);
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
    Change change{watched.id, watched.paths.front(), {}, false, {}};
    std::uint64_t content = 0;
    auto files = read_all(watched.paths, content, change.error);
    if (identify(watched.paths) != now) {  // written while we read
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

void KeyWatch::keep(control::KeyId id, const std::string& name) {
    Watched& watched = watched_.emplace_back();
    watched.id = id;
    watched.paths.front() = name;
    watched.found = watched.missing = true;
}

void KeyWatch::forget(control::KeyId id) {
    for (Watched& watched : watched_) {
        if (watched.id != id) continue;
        watched.offered = watched.seen = {};
        watched.content = 0;
    }
}

}  // namespace edgeproxy::master
