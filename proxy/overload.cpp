// SPDX-License-Identifier: Apache-2.0
#include "proxy/overload.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

namespace edgeproxy::proxy {
namespace {

/// While memory is short the heap is trimmed at every so manyth tick.
constexpr unsigned trim_ticks = 4;

/// Resident bytes, from /proc/self/statm; 0 when it cannot be read.
std::uint64_t resident(int statm, std::uint64_t page) {
    std::array<char, 128> text;
    const ssize_t size = ::pread(statm, text.data(), text.size(), 0);
    if (size <= 0) return 0;
    const std::string_view line(text.data(), static_cast<std::size_t>(size));
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return 0;
    std::uint64_t pages = 0;
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), pages);
    return pages * page;
}

constexpr std::array<std::string_view, 4> words{"none", "saving", "refusing", "cutting"};

}  // namespace

Overload::Overload(Lanes& lanes, config::Log& log)
    : lanes_(lanes),
      log_(log),
      statm_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
      page_(static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) {}

void Overload::configure(const config::Config& config) {
    memory_.budget(config.limits.memory);
    lanes_.limits().configure(config);
}

void Overload::tick() {
    lanes_.limits().look_at_files();
    used_ = resident(statm_.get(), page_);
    const Pressure before = memory_.pressure();
    Pressure now = memory_.observe(used_);
    if (now != Pressure::none && (now > before || ++ticks_ % trim_ticks == 0)) {
        ::malloc_trim(0);
        used_ = resident(statm_.get(), page_);
        now = memory_.observe(used_);
    }
    act(before, now);
}

void Overload::act(Pressure before, Pressure now) {
    if (now != before) {
        const std::string_view word = words[static_cast<std::size_t>(now)];
        log_.add(now > before ? config::LogLevel::warn : config::LogLevel::info, "memory_pressure",
                 "memory pressure: " + std::string(word),
                 {{"used", used_}, {"budget", memory_.budget()}, {"level", word}});
        lanes_.pressure(now);
    }
    if (now == Pressure::cutting) lanes_.cut(memory_.excess(used_));
}

admin::OverloadSample Overload::sample() const {
    return {used_, memory_.budget(), static_cast<unsigned>(memory_.pressure()), lanes_.lagging()};
}

}  // namespace edgeproxy::proxy
