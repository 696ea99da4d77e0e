// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edgeproxy::tls {

/// Which certificate serves which host name: exact names first, then wildcards of one label (RFC 9525, section 6.3).
/// Immutable after `finish`; any thread.
class NameIndex {
 public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    static constexpr std::size_t longest = 253;

    /// `name` may be `*.example.com`. The first certificate of a name keeps it.
    void add(std::string_view name, std::size_t certificate);
    void finish();

    /// The certificate for a name as a client sends it (any case, perhaps with a dot at the end), or `none`.
    std::size_t find(std::string_view host) const;
    bool empty() const { return names_.empty(); }

 private:
    std::size_t exact(std::string_view name) const;
    std::vector<std::pair<std::string, std::size_t>> names_;  ///< sorted; wildcards with their `*`
};

}  // namespace edgeproxy::tls
