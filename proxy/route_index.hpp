// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace edgeproxy::proxy {

/// Which routes may take a request, by its host and the first segment of its path, so that a thousand routes cost what
/// a few do. Says only who may; whether one does is for the route to tell. Pure; built once per configuration.
class RouteIndex {
 public:
    /// A route takes every host that is not said otherwise, and below it every path. `host` in lower case; none: any.
    void add(std::uint32_t route, std::optional<std::string_view> host, std::optional<std::string_view> segment);

    /// The routes that may take a request, lowest first; one may come twice.
    class Candidates {
     public:
        /// The next one, or none.
        std::optional<std::uint32_t> next();

     private:
        friend class RouteIndex;
        void add(std::span<const std::uint32_t> list) { lists_[count_++] = list; }
        std::array<std::span<const std::uint32_t>, 4> lists_;
        std::size_t count_ = 0;
    };
    /// `host` in any case, `segment` without slashes.
    Candidates candidates(std::string_view host, std::string_view segment) const;

 private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const;
    };
    struct IgnoresCase {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const;
    };
    struct EqualButForCase {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const;
    };
    using List = std::vector<std::uint32_t>;
    struct Paths {
        std::unordered_map<std::string, List, Hash, std::equal_to<>> by_segment;
        List any;
    };
    static void add(const Paths& paths, std::string_view segment, Candidates& to);

    std::unordered_map<std::string, Paths, IgnoresCase, EqualButForCase> by_host_;
    Paths any_host_;
};

}  // namespace edgeproxy::proxy
