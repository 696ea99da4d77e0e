// SPDX-License-Identifier: Apache-2.0
#include "upstream/hang.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "config/host.hpp"

namespace edgeproxy::upstream {

std::size_t unread_bytes(int fd) {
    int domain = 0, unread = 0;
    socklen_t size = sizeof(domain);
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) return 0;
    return ::ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0 ? static_cast<std::size_t>(unread) : 0;
}

bool is_stopped(std::int32_t pid) {
    return config::stat_fields(std::to_string(pid)).starts_with('T');
}

HangWatch::Verdict HangWatch::look(const Look& look, io::TimePoint now, const config::Hang& policy) {
    const io::Duration step = last_ == io::TimePoint{} ? io::Duration{} : now - last_;
    last_ = now;
    if (suspect_) {
        if (step > longest_step) said_ += std::chrono::duration_cast<io::TimePoint::duration>(step - longest_step);
        if (now < said_) return Verdict::same;
        said_ = now + std::chrono::duration_cast<io::TimePoint::duration>(io::Duration(policy.kill_after));
        return Verdict::hung;
    }
    const bool busy = look.limit > 0 && look.in_flight >= look.limit && look.unread < look.in_flight;
    if (look.unread == 0 || busy) return Verdict::same;
    suspect_ = true;
    said_ = now + std::chrono::duration_cast<io::TimePoint::duration>(io::Duration(policy.kill_after) -
                                                                      io::Duration(policy.suspect_after));
    return Verdict::suspect;
}

bool HangWatch::reads() {
    return std::exchange(suspect_, false);
}

std::uint64_t UnreadCensus::begin() {
    found_.clear();
    return ++round_;
}

void UnreadCensus::count(std::uint64_t round, const std::vector<EndpointId>& unread) {
    if (round != round_) return;
    for (const EndpointId id : unread) ++found_[id];
}

unsigned UnreadCensus::unread(EndpointId id) const {
    const auto it = found_.find(id);
    return it != found_.end() ? it->second : 0;
}

}  // namespace edgeproxy::upstream
