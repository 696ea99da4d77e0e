// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "tls/io/fd.hpp"

namespace edgeproxy::master {

/// The contents of the files of one certificate, as sealed memfds; what the configuration does not name is empty.
struct CertificateFiles {
    io::UniqueFd cert, key, ocsp, client_ca, client_crl;
};

/// Reads the files of `tls.certificates[index]`. Empty when one cannot be read; `error` names it. An OCSP answer that
/// is not there is no error: there is none to staple.
std::optional<CertificateFiles> read_certificate_files(const config::Tls& tls, std::size_t index, std::string& error);

/// Finds out which certificates have new files, by looking at them now and then.
///
/// A file is known by what its path leads to (device, inode, size and time of change of the resolved file), so that a
/// file that was overwritten, one that was renamed over it and a symbolic link anywhere on the way that leads elsewhere
/// (the `..data` of a Kubernetes volume) are all seen, as often as it happens. New files are offered once they look the
/// same twice, lest a pair of which only one half is written be tried. No loop and no clock of its own; one thread.
class KeyWatch {
 public:
    /// `files`: what has been read of each certificate.
    KeyWatch(const config::Tls& tls, std::span<const CertificateFiles> files);

    struct Change {
        std::size_t index = 0;  ///< of the certificate
        CertificateFiles files;
        std::string error;  ///< not empty: they cannot be read, and there are no `files`
    };
    /// What has settled since the last look.
    std::vector<Change> look();
    /// Something is changing right now: look again soon.
    bool unsettled() const { return unsettled_; }
    /// Offers it again with the next looks, though it may not have changed.
    void forget(std::size_t index);

 private:
    struct Identity {
        std::uint64_t device = 0, inode = 0, size = 0;
        std::int64_t changed = 0;  ///< nanoseconds since 1970; 0 = not there
        bool operator==(const Identity&) const = default;
    };
    using Identities = std::array<Identity, 5>;
    struct Watched {
        Identities offered{}, seen{};
        std::uint64_t content = 0;  ///< a hash
        bool young =
            false;  ///< a file was changed so shortly before it was read that its time need not tell a next change
    };
    Identities identify(std::size_t index) const;
    std::optional<Change> look_at(std::size_t index);

    const config::Tls tls_;
    std::vector<Watched> watched_;
    bool unsettled_ = false;
};

}  // namespace edgeproxy::master
