// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/inherited.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>

#include "upstream/master/environment.hpp"
#include "upstream/master/listen.hpp"

namespace edgeproxy::master {
namespace {

constexpr int first_passed = 3;  // SD_LISTEN_FDS_START
constexpr int most_passed = 256;

bool is_listening_stream(int fd) {
    int type = 0, accepts = 0;
    socklen_t size = sizeof(type);
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
    size = sizeof(accepts);
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) == 0 && accepts != 0;
}

}  // namespace

std::vector<PassedName> passed_names(const std::vector<std::string>& environment, int pid) {
    const auto count = whole_number<int>(value_of(environment, "LISTEN_FDS"));
    if (!count || *count <= 0 || *count > most_passed) return {};
    if (whole_number<int>(value_of(environment, "LISTEN_PID")) != pid) return {};
    std::vector<PassedName> out;
    std::string_view names = value_of(environment, "LISTEN_FDNAMES");
    for (int i = 0; i < *count; ++i) {
        const std::size_t colon = std::min(names.find(':'), names.size());
        const std::string_view name = names.substr(0, colon);
        out.push_back({name.empty() ? "unknown" : std::string(name), first_passed + i});
        names.remove_prefix(std::min(colon + 1, names.size()));
    }
    return out;
}

InheritedSockets InheritedSockets::take(const std::vector<std::string>& environment, int pid) {
    InheritedSockets out;
    for (const PassedName& passed : passed_names(environment, pid)) {
        io::UniqueFd fd(passed.fd);
        const int flags = ::fcntl(fd.get(), F_GETFL);
        const bool usable = flags >= 0 && is_listening_stream(fd.get()) &&
                            ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == 0 &&
                            ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) == 0;
        if (usable) {
            send_at_once(fd.get());
            out.sockets_[passed.name].push_back(std::move(fd));
        } else {
            out.refused_.push_back(passed.name);
        }
    }
    return out;
}

std::vector<io::UniqueFd> InheritedSockets::claim(const std::string& name) {
    const auto found = sockets_.extract(name);
    return found ? std::move(found.mapped()) : std::vector<io::UniqueFd>{};
}

std::vector<std::string> InheritedSockets::unclaimed() const {
    std::vector<std::string> names;
    for (const auto& [name, sockets] : sockets_) names.push_back(name);
    return names;
}

}  // namespace edgeproxy::master
