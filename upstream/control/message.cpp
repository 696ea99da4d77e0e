// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/message.hpp"

#include <algorithm>
#include <type_traits>

#include "upstream/control/bytes.hpp"

namespace edgeproxy::control {
namespace {

// The fields of each message in the order of their bytes. Both directions walk this one list.
template <class A>
void fields(A& a, Hello& m) {
    a(m.version, m.epoch, m.master_pid, m.started_at);
}
template <class A>
void fields(A& a, config::Address& m) {
    a(m.kind, m.host, m.port);
}
template <class A>
void fields(A& a, ListenerSocket& m) {
    a(m.id, m.name, m.address, m.fd);
}
template <class A>
void fields(A& a, KeyId& m) {
    a(m.set, m.index);
}
template <class A>
void fields(A& a, KeyMaterial& m) {
    a(m.id, m.name, m.cert, m.key);
    a.optional_fd(m.ocsp);
    a.optional_fd(m.client_ca);
    a.optional_fd(m.client_crl);
    a.optional_fd(m.password);
}
template <class A>
void fields(A& a, KeysChanged& m) {
    a(m.number, m.unreadable);
    a.list(m.gone, max_refusals);
}
template <class A>
void fields(A& a, KeyRefusal& m) {
    a(m.id, m.why);
}
template <class A>
void fields(A& a, KeysResult& m) {
    a(m.number);
    a.list(m.refused, max_refusals);
    a.lines(m.warnings);
}
template <class A>
void fields(A& a, ConfigMessage& m) {
    a(m.generation, m.text);
}
template <class A>
void fields(A& a, Commit& m) {
    a(m.generation);
}
template <class A>
void fields(A& a, Forget& m) {
    a(m.generation);
}
template <class A>
void fields(A& a, Committed& m) {
    a(m.generation);
}
template <class A>
void fields(A& a, ListenerDrained& m) {
    a(m.id);
}
template <class A>
void fields(A& a, PoolScale& m) {
    a(m.pool, m.wanted, m.min, m.max, m.pinned, m.decisions);
}
template <class A>
void fields(A& a, MasterStatus& m) {
    a(m.reloads, m.last_ok, m.last_ok_at, m.refused);
    a.list(m.scales, max_scales);
    a(m.upgrades);
}
template <class A>
void fields(A& a, EndpointRest& m) {
    a(m.pool, m.endpoint, m.resting);
}
template <class A>
void fields(A& a, WorkerUp& m) {
    a(m.pool, m.slot, m.incarnation, m.generation, m.pid, m.address, m.held, m.replayed);
}
template <class A>
void fields(A& a, WorkerDrain& m) {
    a(m.incarnation, m.timeout, m.reason);
}
template <class A>
void fields(A& a, WorkerGone& m) {
    a(m.incarnation, m.how);
}
template <class A>
void fields(A& a, WorkerUsage& m) {
    a(m.pool, m.slot, m.rss_bytes, m.cpu_ms, m.started_at, m.restarts);
}
template <class A>
void fields(A& a, DrainAll& m) {
    a(m.delay, m.timeout, m.successor);
}
template <class A>
void fields(A& a, Ping& m) {
    a(m.number);
}
template <class A>
void fields(A& a, ConfigResult& m) {
    a(m.generation, m.ok, m.error);
}
template <class A>
void fields(A& a, Ready& m) {
    a(m.generation);
}
template <class A>
void fields(A& a, WorkerReady& m) {
    a(m.incarnation, m.status);
}
template <class A>
void fields(A& a, StartRejected& m) {
    a(m.incarnation, m.why);
}
template <class A>
void fields(A& a, WorkerDrained& m) {
    a(m.incarnation, m.left_over);
}
template <class A>
void fields(A& a, Suspect& m) {
    a(m.incarnation);
}
template <class A>
void fields(A& a, Resumed& m) {
    a(m.incarnation);
}
template <class A>
void fields(A& a, Hung& m) {
    a(m.incarnation);
}
template <class A>
void fields(A& a, Unhealthy& m) {
    a(m.incarnation, m.why);
}
template <class A>
void fields(A& a, Healthy& m) {
    a(m.incarnation);
}
template <class A>
void fields(A& a, WorkerStats& m) {
    a(m.incarnation, m.requests, m.in_flight);
}
template <class A>
void fields(A& a, PoolLoad& m) {
    a(m.pool, m.requests, m.waited_us, m.waiting);
}
template <class A>
void fields(A& a, EndpointSeen& m) {
    a(m.pool, m.endpoint, m.address, m.state, m.requests, m.in_flight);
}
template <class A>
void fields(A& a, Drained& m) {
    a(m.left_over);
}
template <class A>
void fields(A& a, Pong& m) {
    a(m.number);
}
template <class A>
void fields(A& a, LogFiles& m) {
    a.optional_fd(m.log);
    a.optional_fd(m.access);
}
template <class A>
void fields(A& a, Listeners& m) {
    a.list(m.sockets, max_fds);
    a(m.last);
}
template <class A>
void fields(A& a, PoolStatus& m) {
    a(m.pool, m.state, m.retry_after, m.reason);
    a.lines(m.last_lines);
}
template <class A>
void fields(A& a, Stats& m) {
    a.list(m.workers, max_stats);
    a.list(m.loads, max_loads);
}
template <class A>
void fields(A& a, EndpointsSeen& m) {
    a.list(m.endpoints, max_seen);
}
template <class A>
void fields(A&, ListenersClosed&) {}

// How many values an enumeration has: a larger number on the wire is malformed.
constexpr unsigned count_of(PoolState) {
    return 6;
}
constexpr unsigned count_of(DrainReason) {
    return drain_reasons;
}
constexpr unsigned count_of(config::Address::Kind) {
    return 3;
}

class Writer {
 public:
    template <class... T>
    void operator()(T&... values) {
        (write(values), ...);
    }
    void optional_fd(io::UniqueFd& fd) {
        const bool present = static_cast<bool>(fd);
        number(static_cast<std::uint8_t>(present));
        if (present) out.fds.push_back(std::move(fd));
    }
    template <class T>
    void list(std::vector<T>& items, std::size_t limit) {
        if (items.size() > limit) failed = true;
        if (failed) return;
        number(static_cast<std::uint32_t>(items.size()));
        for (T& item : items) fields(*this, item);
    }
    void lines(std::vector<std::string>& items) {
        const std::size_t from = items.size() > max_lines ? items.size() - max_lines : 0;
        number(static_cast<std::uint32_t>(items.size() - from));
        for (std::size_t i = from; i < items.size(); ++i) text(items[i], max_line);
    }

    Encoded out;
    bool failed = false;

 private:
    template <class T>
    void write(T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            number(static_cast<std::uint8_t>(value));
        } else if constexpr (std::is_enum_v<T>) {
            number(static_cast<std::uint8_t>(value));
        } else if constexpr (std::is_integral_v<T>) {
            number(static_cast<std::make_unsigned_t<T>>(value));
        } else {
            fields(*this, value);
        }
    }
    void write(std::string& value) { text(value, max_text); }
    void write(Milliseconds& value) { number(static_cast<std::uint64_t>(std::max<std::int64_t>(0, value.count()))); }
    void write(io::UniqueFd& fd) {
        if (!fd) failed = true;  // a bug of the sender: this message is nothing without it
        out.fds.push_back(std::move(fd));
    }
    template <std::size_t N>
    void write(std::array<std::uint64_t, N>& values) {
        for (const std::uint64_t value : values) number(value);
    }

    template <class U>
    void number(U value) {
        put(out.bytes, value);
    }
    void text(const std::string& value, std::size_t limit) {
        const std::size_t size = std::min(value.size(), limit);
        number(static_cast<std::uint32_t>(size));
        out.bytes.append(value, 0, size);
    }
};

class Reader {
 public:
    Reader(std::span<const char> bytes, std::vector<io::UniqueFd>& fds) : in_(bytes), fds_(fds) {}

    template <class... T>
    void operator()(T&... values) {
        (read(values), ...);
    }
    void optional_fd(io::UniqueFd& fd) {
        bool present = false;
        read(present);
        if (present) read(fd);
    }
    template <class T>
    void list(std::vector<T>& items, std::size_t limit) {
        const std::size_t size = number<std::uint32_t>();
        if (size > limit || size > in_.left()) in_.fail();  // each item has at least one byte
        if (in_.failed()) return;
        items.resize(size);
        for (T& item : items) fields(*this, item);
    }
    void lines(std::vector<std::string>& items) {
        const std::size_t size = number<std::uint32_t>();
        if (size > max_lines) in_.fail();
        if (in_.failed()) return;
        items.resize(size);
        for (std::string& item : items) text(item, max_line);
    }
    bool finished() const { return in_.finished() && next_fd_ == fds_.size(); }

 private:
    template <class T>
    void read(T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            const auto byte = number<std::uint8_t>();
            if (byte > 1) in_.fail();
            value = byte == 1;
        } else if constexpr (std::is_enum_v<T>) {
            const auto byte = number<std::uint8_t>();
            if (byte >= count_of(T{})) {
                in_.fail();
            } else {
                value = static_cast<T>(byte);
            }
        } else if constexpr (std::is_integral_v<T>) {
            value = static_cast<T>(number<std::make_unsigned_t<T>>());
        } else {
            fields(*this, value);
        }
    }
    void read(std::string& value) { text(value, max_text); }
    void read(Milliseconds& value) {
        constexpr std::uint64_t longest =
            1000ull * 60 * 60 * 24 * 3650;  // ten years: sums of two stay far from overflow
        const auto count = number<std::uint64_t>();
        if (count > longest) in_.fail();
        value = Milliseconds(static_cast<std::int64_t>(in_.failed() ? 0 : count));
    }
    void read(io::UniqueFd& fd) {
        if (next_fd_ == fds_.size()) {
            in_.fail();
        } else {
            fd = std::move(fds_[next_fd_++]);
        }
    }
    template <std::size_t N>
    void read(std::array<std::uint64_t, N>& values) {
        for (std::uint64_t& value : values) value = number<std::uint64_t>();
    }

    template <class U>
    U number() {
        return in_.number<U>();
    }
    void text(std::string& value, std::size_t limit) {
        const std::size_t size = number<std::uint32_t>();
        if (size > limit) in_.fail();
        value = in_.take(size);
    }

    ByteReader in_;
    std::vector<io::UniqueFd>& fds_;
    std::size_t next_fd_ = 0;
};

// Makes the alternative with this index, default-constructed; false when there is none.
template <std::size_t I = 0>
bool emplace(Message& message, std::size_t index) {
    if constexpr (I == std::variant_size_v<Message>) {
        return false;
    } else {
        if (index != I) return emplace<I + 1>(message, index);
        message.emplace<I>();
        return true;
    }
}

class Category final : public boost::system::error_category {
 public:
    const char* name() const noexcept override { return "edgeproxy.control"; }
    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::closed:
                return "the other end closed the control channel";
            case errc::malformed:
                return "malformed control message";
            case errc::too_large:
                return "control message too large";
            case errc::overflow:
                return "the other end does not read the control channel";
        }
        return "unknown control error";
    }
};

}  // namespace

const boost::system::error_category& category() {
    static const Category instance;
    return instance;
}

Result<Encoded> encode(Message message) {
    Writer writer;
    writer.out.bytes.push_back(static_cast<char>(version));
    writer.out.bytes.push_back(static_cast<char>(message.index()));
    std::visit([&](auto& m) { fields(writer, m); }, message);
    if (writer.failed || writer.out.bytes.size() > max_message || writer.out.fds.size() > max_fds)
        return errc::too_large;
    return std::move(writer.out);
}

Result<Message> decode(std::span<const char> bytes, std::vector<io::UniqueFd> fds) {
    if (bytes.size() < 2 || bytes.size() > max_message || fds.size() > max_fds) return errc::malformed;
    if (static_cast<std::uint8_t>(bytes[0]) != version) return errc::malformed;
    Message message;
    if (!emplace(message, static_cast<std::uint8_t>(bytes[1]))) return errc::malformed;
    Reader reader(bytes.subspan(2), fds);
    std::visit([&](auto& m) { fields(reader, m); }, message);
    if (!reader.finished()) return errc::malformed;
    return message;
}

const char* name(const Message& message) {
    static constexpr std::array<const char*, std::variant_size_v<Message>> names{"hello",          "log_files",
                                                                                 "listeners",      "key_material",
                                                                                 "config",         "worker_up",
                                                                                 "worker_drain",   "worker_gone",
                                                                                 "pool_status",    "worker_usage",
                                                                                 "drain_all",      "listeners_closed",
                                                                                 "ping",           "keys_changed",
                                                                                 "config_result",  "keys_result",
                                                                                 "ready",          "worker_ready",
                                                                                 "start_rejected", "worker_drained",
                                                                                 "suspect",        "resumed",
                                                                                 "hung",           "unhealthy",
                                                                                 "healthy",        "stats",
                                                                                 "drained",        "pong",
                                                                                 "commit",         "forget",
                                                                                 "master_status",  "endpoint_rest",
                                                                                 "committed",      "listener_drained",
                                                                                 "endpoints_seen"};
    static_assert(names.back() != nullptr, "a message without a name");
    return names[message.index()];
}

std::string worker_name(const std::string& pool, std::uint32_t slot) {
    return pool + "-" + std::to_string(slot + 1);
}

const char* word(PoolState state) {
    static constexpr std::array<const char*, 6> words{"starting",      "ok",       "degraded",
                                                      "crash_looping", "draining", "stopped"};
    return words[static_cast<std::size_t>(state)];
}

const char* word(RestartReason reason) {
    static constexpr std::array<const char*, restart_reasons> words{"crash",  "health",  "recycle",
                                                                    "reload", "request", "start_failed"};
    return words[static_cast<std::size_t>(reason)];
}

const char* direction(ScaleDecision decision) {
    static constexpr std::array<const char*, scale_decisions> words{"up", "down", "down", "held", "held"};
    return words[static_cast<std::size_t>(decision)];
}

const char* reason(ScaleDecision decision) {
    static constexpr std::array<const char*, scale_decisions> words{"queue_time", "idle", "memory", "max", "memory"};
    return words[static_cast<std::size_t>(decision)];
}

const char* word(DrainReason reason) {
    static constexpr std::array<const char*, drain_reasons> words{"shutdown", "reload", "recycle", "scale",
                                                                  "request",  "health", "changed"};
    return words[static_cast<std::size_t>(reason)];
}

}  // namespace edgeproxy::control
