// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/dev_files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "config/key_pairs.hpp"
#include "tls/certificates.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::cli {
namespace {

constexpr long renew_days = 10, renew_authority_days = 60;

std::string read_pem(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    return text.size() <= config::largest_pem ? text : std::string();
}

std::string authority_key(const DevFiles& files) {
    return std::filesystem::path(files.authority).replace_extension(".key").string();
}

/// At once, and never readable by others in between.
bool write_file(const std::string& path, const std::string& text, mode_t mode, std::string& error) {
    const std::string beside = path + ".new";
    ::unlink(beside.c_str());
    const io::UniqueFd fd{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    const bool written = fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::rename(beside.c_str(), path.c_str()) == 0;
    if (!written) error = "cannot write " + path + ": " + std::strerror(errno);
    return written;
}

bool is_good(const tls::CertificateResult<tls::Certificate>& certificate, std::chrono::system_clock::time_point now,
             long days) {
    return certificate && certificate->info.days_left(now) >= days;
}

/// mkcert's, else ours, else a new one.
bool find_authority(const DevFiles& files, const std::string& mkcert, std::chrono::system_clock::time_point now,
                    tls::Pem& out, std::string& error) {
    if (!mkcert.empty()) {
        out = {read_pem(mkcert + "/rootCA.pem"), read_pem(mkcert + "/rootCA-key.pem")};
        if (is_good(tls::load_certificate(out.chain, out.key), now, renew_authority_days)) {
            if (read_pem(files.authority) == out.chain) return true;
            ::unlink(authority_key(files).c_str());  // ours, of an authority that is not used any more
            return write_file(files.authority, out.chain, 0644, error);
        }
    }
    out = {read_pem(files.authority), read_pem(authority_key(files))};
    if (is_good(tls::load_certificate(out.chain, out.key), now, renew_authority_days)) return true;
    out = tls::dev_authority(now);
    return write_file(authority_key(files), out.key, 0600, error) &&
           write_file(files.authority, out.chain, 0644, error);
}

bool renew_leaf(const DevFiles& files, const tls::Pem& authority, std::chrono::system_clock::time_point now,
                std::string& error) {
    const auto signer = tls::load_certificate(authority.chain, authority.key);
    const auto leaf = tls::load_certificate(read_pem(files.cert), read_pem(files.key));
    if (is_good(leaf, now, renew_days) && signer && tls::is_signed_by(*leaf, *signer)) return true;
    const tls::Pem made = tls::dev_certificate(now, authority);
    if (made.chain.empty()) {
        error = "the development authority " + files.authority + " cannot sign";
        return false;
    }
    return write_file(files.key, made.key, 0600, error) && write_file(files.cert, made.chain, 0644, error);
}

}  // namespace

DevFiles dev_files(const std::string& state_dir) {
    const std::string folder = state_dir + "/dev/";
    return {folder + "ca.pem", folder + "localhost.pem", folder + "localhost.key"};
}

std::string mkcert_folder(const std::function<std::optional<std::string>(const std::string&)>& environment) {
    const auto absolute = [&](const char* name) {
        const auto value = environment(name).value_or("");
        return value.starts_with('/') ? value : std::string();
    };
    if (const std::string given = absolute("CAROOT"); !given.empty()) return given;
    if (const std::string data = absolute("XDG_DATA_HOME"); !data.empty()) return data + "/mkcert";
    const std::string home = absolute("HOME");
    return home.empty() ? std::string() : home + "/.local/share/mkcert";
}

bool make_dev_files(const DevFiles& files, const std::string& mkcert, std::chrono::system_clock::time_point now,
                    std::string& error) {
    const std::filesystem::path folder = std::filesystem::path(files.authority).parent_path();
    std::error_code failure;
    std::filesystem::create_directories(folder.parent_path(), failure);
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
        error = "cannot make " + folder.string() + ": " + std::strerror(errno);
        return false;
    }
    const io::UniqueFd lock{::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!lock || ::flock(lock.get(), LOCK_EX) != 0) {
        error = "cannot use " + folder.string() + ": " + std::strerror(errno);
        return false;
    }
    tls::Pem authority;
    const bool made = find_authority(files, mkcert, now, authority, error) && renew_leaf(files, authority, now, error);
    tls::cleanse(authority);
    return made;
}

void add_dev_files(config::Config& config, std::string& error) {
    std::vector<config::Tls*> wanted;
    if (config.tls.dev) wanted.push_back(&config.tls);
    for (config::Listener& listener : config.listeners) {
        if (listener.own_tls && listener.own_tls->dev) wanted.push_back(&*listener.own_tls);
    }
    if (wanted.empty()) return;
    const auto variable = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
    };
    const DevFiles files = dev_files(config.server.state_dir);
    if (!make_dev_files(files, mkcert_folder(variable), std::chrono::system_clock::now(), error)) return;
    config::Certificate certificate;
    certificate.cert = files.cert;
    certificate.key = files.key;
    for (config::Tls* tls : wanted) tls->certificates = {certificate};
}

std::string trust_words(const std::string& authority) {
    return "# " + authority +
           " vouches for localhost, *.localhost, *.test and loopback addresses only.\n"
           "# For programs that use the system's certificates (curl, Python, Chrome's NSS is its own):\n"
           "sudo install -m 0644 " +
           authority +
           " /usr/local/share/ca-certificates/edgeproxy-dev.crt && sudo update-ca-certificates\n"
           "# For Chrome and Firefox of this user (package libnss3-tools):\n"
           "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n edgeproxy-dev -i " +
           authority + "\n";
}

}  // namespace edgeproxy::cli
