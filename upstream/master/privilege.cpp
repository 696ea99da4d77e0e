// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/privilege.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace edgeproxy::master {
namespace {

using Sets = std::array<__user_cap_data_struct, 2>;

bool read_sets(Sets& sets) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    return ::syscall(SYS_capget, &header, sets.data()) == 0;
}

}  // namespace

rlimit lock_down() {
    rlimit before{};
    ::getrlimit(RLIMIT_CORE, &before);
    const rlimit none{0, before.rlim_max};  // the hard limit stays, so that workers can have theirs back
    ::setrlimit(RLIMIT_CORE, &none);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return before;
}

void become_subreaper() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

bool drop_capabilities(std::string& error) {
    if (::geteuid() != 0) return true;
    std::uint64_t keep = 0;
    for (const int capability :
         {CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_CHOWN, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH}) {
        keep |= std::uint64_t{1} << capability;
    }
    Sets sets{};
    bool done = read_sets(sets);
    for (std::size_t i = 0; i < sets.size(); ++i) {
        const auto part = static_cast<std::uint32_t>(keep >> (32 * i));
        sets[i].permitted &= part;  // never more than we were given: a container may have taken some
        sets[i].effective = sets[i].permitted;
        sets[i].inheritable = 0;
    }
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    done = done && ::syscall(SYS_capset, &header, sets.data()) == 0;
    if (!done) error = std::string("cannot drop capabilities: ") + std::strerror(errno);
    return done;
}

bool can_switch_user() {
    Sets sets{};
    if (!read_sets(sets)) return false;
    constexpr std::uint32_t both = (1u << CAP_SETUID) | (1u << CAP_SETGID);
    return (sets[0].effective & both) == both;
}

}  // namespace edgeproxy::master
