// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "config/config.hpp"

namespace edgeproxy::cli {

/// Where the development certificate lies (`tls: dev`), in `dev` below `server.state_dir`.
struct DevFiles {
    std::string authority;  ///< PEM of the authority that browsers are to believe; beside it, 0600, its key
    std::string cert, key;  ///< of localhost, signed by it
};
DevFiles dev_files(const std::string& state_dir);

/// The folder in which mkcert keeps its authority: `$CAROOT`, else `mkcert` in the user's data. Empty = nowhere.
std::string mkcert_folder(const std::function<std::optional<std::string>(const std::string&)>& environment);

/// Makes what is missing there: the authority once, the certificate when it is missing, runs out within ten days or is
/// not the authority's. The authority of mkcert is used where `mkcert` (a folder, or empty) has one that we may read:
/// browsers know it already. False with one sentence in `error` when there is no place to keep them.
bool make_dev_files(const DevFiles& files, const std::string& mkcert, std::chrono::system_clock::time_point now,
                    std::string& error);

/// The plan with the files in `tls.certificates` when it says `tls: dev`. Without a place to keep them it stays as it
/// is, and `error` says why: the proxy then makes a certificate that signs itself, anew at each start.
void add_dev_files(config::Config& config, std::string& error);

/// What a person does so that browsers and tools believe the authority. Printed, never run.
std::string trust_words(const std::string& authority);

}  // namespace edgeproxy::cli
