// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "config/config.hpp"
#include "tls/io/fd.hpp"
#include "upstream/control/message.hpp"

namespace edgeproxy::master {

/// The contents of the files of one certificate, as sealed memfds; what the configuration does not name is empty.
struct CertificateFiles {
    io::UniqueFd cert, key, ocsp, client_ca, client_crl, password;
    std::string name;  ///< the path of `cert`
};

/// The paths of these files, in the same order; empty = not named.
using CertificatePaths = std::array<std::string, 6>;

/// Reads the files. Empty when one cannot be read; `error` names it. An OCSP answer that is not there is no error:
/// there is none to staple.
std::optional<CertificateFiles> read_certificate_files(const CertificatePaths& paths, std::string& error);

/// What is there of every certificate that listeners serve. False, with `error`, when one cannot be read.
using CertificateStock = std::map<control::KeyId, CertificateFiles>;
bool read_certificates(const config::Config& config, CertificateStock& stock, std::string& error);

/// Finds out which certificates have new files, and which came and went in `tls.dir`, by looking at them now and then.
///
/// A file is known by what its path leads to (device, inode, size and time of change of the resolved file), so that a
/// file that was overwritten, one that was renamed over it and a symbolic link anywhere on the way that leads elsewhere
/// (the `..data` of a Kubernetes volume) are all seen, as often as it happens. New files are offered once they look the
/// same twice, lest a pair of which only one half is written be tried; a pair is gone once it is missing twice. No loop
/// and no clock of its own; one thread.
class KeyWatch {
 public:
    /// `stock`: what has been read.
    KeyWatch(const config::Config& config, const CertificateStock& stock);

    struct Change {
        control::KeyId id;
        std::string name;  ///< the path of the chain
        CertificateFiles files;
        bool gone = false;  ///< it is in `tls.dir` no more
        std::string error;  ///< not empty: they cannot be read, and there are no `files`
    };
    /// What has settled since the last look.
    std::vector<Change> look();
    /// Something is changing right now: look again soon.
    bool unsettled() const { return unsettled_; }
    /// How often to look; zero = never.
    config::Duration interval() const { return interval_; }
    /// It was told to be gone, but goes on being served: that it is gone is told again, unless it comes back.
    void keep(control::KeyId id, const std::string& name);
    /// Offers it again with the next looks, though it may not have changed.
    void forget(control::KeyId id);

 private:
    struct Identity {
        std::uint64_t device = 0, inode = 0, size = 0;
        std::int64_t changed = 0;  ///< nanoseconds since 1970; 0 = not there
        bool operator==(const Identity&) const = default;
    };
    using Identities = std::array<Identity, std::tuple_size_v<CertificatePaths>>;
    struct Watched {
        control::KeyId id;
        CertificatePaths paths;
        Identities offered{}, seen{};
        std::uint64_t content = 0;  ///< a hash
        bool young =
            false;  ///< a file was changed so shortly before it was read that its time need not tell a next change
        bool found = false;    ///< in a directory
        bool missing = false;  ///< it was, at the last look
        bool is_there = true;
    };
    /// A `tls.dir`.
    struct Directory {
        std::uint32_t set = 0, next_index = 0;
        std::string error;  ///< told already
    };
    static Identities identify(const CertificatePaths& paths);
    void watch(control::KeyId id, CertificatePaths paths, bool found, const CertificateStock& stock);
    void look_into(Directory& directory, std::vector<Change>& changes);
    void drop_missing(const Directory& directory, std::vector<Change>& changes);
    static void tell_once(Directory& directory, std::string error, std::vector<Change>& changes);
    std::optional<Change> look_at(Watched& watched);

    const config::Config config_;
    config::Duration interval_{};
    std::vector<Directory> directories_;
    std::vector<Watched> watched_;
    bool unsettled_ = false;
};

}  // namespace edgeproxy::master
