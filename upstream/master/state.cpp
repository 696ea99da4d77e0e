// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/state.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "upstream/control/bytes.hpp"

namespace edgeproxy::master {
namespace {

constexpr std::string_view magic = "edgeproxy state\n";

// The fields of each part in the order of their bytes. Both directions walk this one list.
template <class A>
void fields(A& a, config::Address& m) {
    a(m.kind, m.host, m.port);
}
template <class A>
void fields(A& a, State::Socket& m) {
    a(m.name, m.address, m.wanted, m.id, m.fd);
}
template <class A>
void fields(A& a, State::Keys& m) {
    a(m.set, m.index, m.name, m.files);
}
template <class A>
void fields(A& a, ControlSocket::Memory& m) {
    a(m.listener, m.path, m.refused);
}
template <class A>
void fields(A& a, Reload::Memory& m) {
    a(m.generation, m.last_tried, m.counts, m.last_failure, m.last_ok_at, m.behind, m.absent);
}
template <class A>
void fields(A& a, Upgrade::Memory& m) {
    a(m.counts, m.last_failure, m.version, m.asker, m.begun);
}
template <class A>
void fields(A& a, ProxyProcess::Memory& m) {
    a(m.pid, m.channel, m.epoch, m.ready_since);
}
template <class A>
void fields(A& a, Slot::Memory& m) {
    a(m.failures, m.in_a_row, m.waits, m.failed_starts);
}
template <class A>
void fields(A& a, Countdown::Memory& m) {
    a(m.left, m.since);
}
template <class A>
void fields(A& a, Worker::Memory& m) {
    a(m.state, m.end, m.clocks_run, m.unhealthy, m.ready_since, m.clock, m.health);
}
template <class A>
void fields(A& a, WorkerSocket::Memory& m) {
    a(m.address, m.folder, m.path, m.link, m.held, m.open);
}
template <class A>
void fields(A& a, LineSplitter::Memory& m) {
    a(m.rest, m.cut);
}
template <class A>
void fields(A& a, Journey& m) {
    a(m.begun, m.executed, m.answered);
}
template <class A>
void fields(A& a, Recycling::Memory& m) {
    a(m.most_requests, m.most_memory, m.longest, m.before, m.latest, m.rss);
}
template <class A>
void fields(A& a, IncarnationProcess::Memory& m) {
    a(m.id, m.pid, m.machine, m.socket, m.lines, m.out, m.err, m.out_rest, m.err_rest, m.journey, m.started_at,
      m.rss_bytes, m.requests, m.in_flight, m.rejected, m.sickness, m.sick_since, m.recycling, m.replaces,
      m.drain_reason);
}
template <class A>
void fields(A& a, Crew::SeatMemory& m) {
    a(m.slot, m.next_start, m.restarts, m.pending_reason, m.worker);
}
template <class A>
void fields(A& a, Crew::Memory& m) {
    a(m.pool, m.wanted, m.seats, m.ever_ready, m.broken, m.pinned, m.decisions, m.start_failure, m.last_reason,
      m.last_lines);
}
template <class A>
void fields(A& a, State& m) {
    a(m.control_version, m.config_text, m.started_at, m.core_soft, m.core_hard, m.last_incarnation, m.keys_number,
      m.told_ready, m.told_manager, m.unwritten, m.run_dir, m.lock, m.sockets, m.last_socket, m.keys, m.endpoint_keys,
      m.control, m.reload, m.upgrade, m.proxy, m.guard_pid, m.guard_pipe, m.crews, m.resting, m.late_pools);
}

// How many values an enumeration has.
constexpr unsigned count_of(config::Address::Kind) {
    return 3;
}
constexpr unsigned count_of(WorkerState) {
    return 6;
}
constexpr unsigned count_of(WorkerEnd) {
    return 6;
}
constexpr unsigned count_of(control::DrainReason) {
    return control::drain_reasons;
}
constexpr unsigned count_of(control::RestartReason) {
    return control::restart_reasons;
}

class Writer {
 public:
    template <class... T>
    void operator()(T&... values) {
        (write(values), ...);
    }
    std::string out;

 private:
    template <class T>
    void write(T& value) {
        if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
            out.push_back(static_cast<char>(value));
        } else if constexpr (std::is_integral_v<T>) {
            control::put(out, static_cast<std::uint64_t>(value));
        } else {
            fields(*this, value);
        }
    }
    void write(std::string& value) {
        std::uint64_t size = value.size();
        write(size);
        out += value;
    }
    void write(TimePoint& value) {
        std::int64_t count = value.time_since_epoch().count();
        write(count);
    }
    template <class R, class P>
    void write(std::chrono::duration<R, P>& value) {
        auto count = static_cast<std::int64_t>(value.count());
        write(count);
    }
    template <class T>
    void write(std::optional<T>& value) {
        bool there = value.has_value();
        write(there);
        if (there) write(*value);
    }
    template <class T>
    void write(std::vector<T>& values) {
        std::uint64_t size = values.size();
        write(size);
        for (T& value : values) write(value);
    }
    template <class T, std::size_t N>
    void write(std::array<T, N>& values) {
        for (T& value : values) write(value);
    }
    template <class T, class U>
    void write(std::pair<T, U>& value) {
        write(value.first);
        write(value.second);
    }
};

class Reader {
 public:
    explicit Reader(std::span<const char> bytes) : in_(bytes) {}
    template <class... T>
    void operator()(T&... values) {
        (read(values), ...);
    }
    bool finished() const { return in_.finished(); }

 private:
    std::uint8_t byte() { return in_.number<std::uint8_t>(); }
    std::uint64_t number() { return in_.number<std::uint64_t>(); }
    // Of things that have at least one byte each.
    std::size_t size() {
        const std::uint64_t value = number();
        if (value > in_.left()) in_.fail();
        return in_.failed() ? 0 : static_cast<std::size_t>(value);
    }
    template <class T>
    void read(T& value) {
        if constexpr (std::is_enum_v<T>) {
            const std::uint8_t one = byte();
            if (one >= count_of(T{})) in_.fail();
            value = static_cast<T>(in_.failed() ? 0 : one);
        } else if constexpr (std::is_same_v<T, bool>) {
            const std::uint8_t one = byte();
            if (one > 1) in_.fail();
            value = one == 1;
        } else if constexpr (std::is_integral_v<T>) {
            const std::uint64_t one = number();
            value = static_cast<T>(one);
            if (static_cast<std::uint64_t>(value) != one) in_.fail();  // does not fit
        } else {
            fields(*this, value);
        }
    }
    void read(std::string& value) { value = in_.take(size()); }
    void read(TimePoint& value) { value = TimePoint(TimePoint::duration(static_cast<std::int64_t>(number()))); }
    template <class R, class P>
    void read(std::chrono::duration<R, P>& value) {
        value = std::chrono::duration<R, P>(static_cast<R>(static_cast<std::int64_t>(number())));
    }
    template <class T>
    void read(std::optional<T>& value) {
        bool there = false;
        read(there);
        if (there) read(value.emplace());
    }
    template <class T>
    void read(std::vector<T>& values) {
        const std::size_t count = size();
        for (std::size_t i = 0; i < count && !in_.failed(); ++i) read(values.emplace_back());
    }
    template <class T, std::size_t N>
    void read(std::array<T, N>& values) {
        for (T& value : values) read(value);
    }
    template <class T, class U>
    void read(std::pair<T, U>& value) {
        read(value.first);
        read(value.second);
    }

    control::ByteReader in_;
};

}  // namespace

std::vector<int> State::descriptors() const {
    std::vector<int> all{lock, control.listener, upgrade.asker, proxy.channel, guard_pipe};
    for (const Socket& socket : sockets) all.push_back(socket.fd);
    for (const std::vector<Keys>* list : {&keys, &endpoint_keys}) {
        for (const Keys& one : *list) all.insert(all.end(), one.files.begin(), one.files.end());
    }
    for (const Crew::Memory& crew : crews) {
        for (const Crew::SeatMemory& seat : crew.seats) {
            if (!seat.worker) continue;
            all.push_back(seat.worker->out);
            all.push_back(seat.worker->err);
        }
    }
    std::erase_if(all, [](int fd) { return fd < 0; });
    return all;
}

void keep_from_children(const State& state) {
    for (const int fd : state.descriptors()) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

namespace {

State::Keys numbers_of(control::KeyId id, const CertificateFiles& files) {
    return {id.set,
            id.index,
            files.name,
            {files.cert.get(), files.key.get(), files.ocsp.get(), files.client_ca.get(), files.client_crl.get(),
             files.password.get()}};
}

CertificateFiles files_of(const State::Keys& keys) {
    const auto& fds = keys.files;
    return {io::UniqueFd(fds[0]),
            io::UniqueFd(fds[1]),
            io::UniqueFd(fds[2]),
            io::UniqueFd(fds[3]),
            io::UniqueFd(fds[4]),
            io::UniqueFd(fds[5]),
            keys.name};
}

}  // namespace

void adopt_resources(const State& state, const std::string& runs, Resources& out) {
    if (!state.run_dir.empty()) out.runtime_dir = RuntimeDir::adopt(state.run_dir, io::UniqueFd(state.lock), runs);
    for (const State::Socket& socket : state.sockets)
        out.sockets.push_back({socket.name, socket.address, io::UniqueFd(socket.fd), socket.wanted, socket.id,
                               socket.address.is_unix() ? file_at(socket.address.host) : SocketFile{}});
    out.last_socket = state.last_socket;
    for (const State::Keys& keys : state.keys) out.keys.emplace(control::KeyId{keys.set, keys.index}, files_of(keys));
    for (const State::Keys& keys : state.endpoint_keys) out.endpoint_keys.push_back(files_of(keys));
}

void remember_resources(const Resources& resources, State& out) {
    if (resources.runtime_dir) {
        out.run_dir = resources.runtime_dir->path();
        out.lock = resources.runtime_dir->lock();
    }
    for (const ListenSocket& socket : resources.sockets)
        out.sockets.push_back({socket.name, socket.address, socket.wanted, socket.id, socket.fd.get()});
    out.last_socket = resources.last_socket;
    for (const auto& [id, files] : resources.keys) out.keys.push_back(numbers_of(id, files));
    for (const CertificateFiles& files : resources.endpoint_keys)
        out.endpoint_keys.push_back(numbers_of({control::endpoint_keys, 0}, files));
}

std::string encode(const State& state) {
    Writer writer;
    writer.out = magic;
    std::uint32_t version = State::version;
    State copy = state;  // the lists of fields walk what can be changed
    writer(version, copy);
    return std::move(writer.out);
}

DecodedState decode_state(std::span<const char> bytes) {
    const std::string_view text(bytes.data(), bytes.size());
    constexpr std::size_t head = magic.size() + sizeof(std::uint64_t);
    if (text.size() < head || text.substr(0, magic.size()) != magic)
        return {std::nullopt, "this is no state of a master"};
    std::uint64_t version = 0;
    Reader(bytes.subspan(magic.size(), sizeof(std::uint64_t)))(version);
    if (version != State::version) {
        return {std::nullopt, fmt::format("the state has version {}, this program knows version {}; restart it instead",
                                          version, State::version)};
    }
    DecodedState out;
    Reader reader(bytes.subspan(head));
    reader(out.state.emplace());
    if (reader.finished()) return out;
    return {std::nullopt, "the state is damaged"};
}

}  // namespace edgeproxy::master
