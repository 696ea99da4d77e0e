// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace edgeproxy::config {

/// Bytes of a file of certificates or keys, or of what stands beside them (OCSP, CRL, password); a larger one is none.
/// Check, master and proxy read no more.
inline constexpr std::size_t largest_pem = 1024 * 1024;

/// What `tls.dir` holds at this moment.
struct KeyPairs {
    std::vector<KeyFiles> pairs;  ///< absolute paths, in the order of their names; the same file twice for a `.pem`
    std::vector<std::string> unpaired;  ///< names of certificates without a key beside them, and of keys without one
    std::string error;                  ///< not empty: the directory cannot be read, and there is nothing else
};
inline constexpr std::size_t most_key_pairs = 1000;  ///< of one directory; more is an error

/// Every NAME.crt with NAME.key beside it, and every .pem that holds both a certificate and a key. Names that begin
/// with a dot are left out, as are other files: a Kubernetes volume has both. Looks into .pem files, blocking.
KeyPairs find_key_pairs(const std::string& directory);

}  // namespace edgeproxy::config
