// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/http/error.hpp"
#include "proxy/http/fields.hpp"

namespace edgeproxy::http {

/// What the Connection fields of a head say (RFC 9110, section 7.6.1).
class ConnectionOptions {
 public:
    static constexpr std::size_t max_names = 16;

    ConnectionOptions() {}  // NOLINT: the names stay uninitialised on purpose

    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    unsigned ignored = 0;  ///< options that name a protected field

    /// Field names that the sender nominated for removal, as written. The words above, hop-by-hop names (they go
    /// anyway) and protected names (they stay) are not among them.
    std::span<const std::string_view> names() const { return {names_.list, count_}; }
    /// Is `name` to be removed?
    bool nominates(std::string_view name) const;

    /// Reads every Connection field of `fields`. errc::bad_connection for a non-token or more than `max_names` names.
    errc read(const Fields& fields);
    void clear() {
        close = keep_alive = upgrade = false;
        ignored = 0;
        count_ = 0;
    }

 private:
    bool take(std::string_view option);

    std::size_t count_ = 0;
    union Names {
        Names() {}  // NOLINT: nothing is constructed
        std::string_view list[max_names];
    } names_;
};

}  // namespace edgeproxy::http
