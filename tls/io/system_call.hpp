// SPDX-License-Identifier: Apache-2.0
/// The system calls that every request makes.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

/// As libc's functions of the same names, errno included, but no cancellation points (pthreads(7)): in a process that
/// has more than one thread libc surrounds each such call with two atomic operations, for pthread_cancel to reach it,
/// and none of our threads is ever cancelled. Sanitizers check the memory that libc's functions are given and know no
/// others, so that their builds call these.
namespace edgeproxy::io::system_call {

#if defined(EDGEPROXY_SANITIZED)

using ::epoll_wait, ::recv, ::send, ::sendmsg;

#else

inline ssize_t recv(int fd, void* into, std::size_t size, int flags) {
    return ::syscall(SYS_recvfrom, fd, into, size, flags, nullptr, nullptr);
}

inline ssize_t send(int fd, const void* from, std::size_t size, int flags) {
    return ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
}

inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return ::syscall(SYS_sendmsg, fd, message, flags);
}

/// Newer machines have epoll_pwait only; without a mask it is the same.
inline int epoll_wait(int fd, epoll_event* events, int most, int milliseconds) {
    return static_cast<int>(::syscall(SYS_epoll_pwait, fd, events, most, milliseconds, nullptr, std::size_t{0}));
}

#endif

}  // namespace edgeproxy::io::system_call
