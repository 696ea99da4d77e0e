// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "upstream/dns.hpp"

namespace edgeproxy::upstream {

/// Asks the system's resolver without making anybody wait for it: a name whose servers are silent (half a minute, by
/// resolv.conf) holds up neither other names nor the end of the process.
///
/// All calls on one thread, the owner's. A name is asked on a thread of its own, which nobody joins: a call of
/// getaddrinfo cannot be broken off, so one that is under way at `stop` ends by itself, or with the process.
class NameResolver {
 public:
    static constexpr unsigned most_at_once = 8;  ///< names that are asked at the same time; others wait for one to end

    using Post = std::function<void(std::function<void()>)>;
    using Answer = std::function<void(const std::string& host, const Resolved& result)>;
    using Ask = std::function<Resolved(const std::string& host)>;

    /// `post` carries work to the owner's thread, from any; it is not called after `stop`. `answer` is called on the
    /// owner's thread, once for each `resolve`, not after `stop`.
    NameResolver(Post post, Answer answer, Ask ask = &upstream::resolve);
    ~NameResolver();
    NameResolver(const NameResolver&) = delete;
    NameResolver& operator=(const NameResolver&) = delete;

    void resolve(const std::string& host);
    /// No answers from now on, and no wait for those that are under way. Idempotent.
    void stop();

 private:
    struct Desk;
    static void start(const std::shared_ptr<Desk>& desk, const std::string& host);
    static void answered(const std::shared_ptr<Desk>& desk, const std::string& host, const Resolved& result);

    const std::shared_ptr<Desk> desk_;
};

}  // namespace edgeproxy::upstream
