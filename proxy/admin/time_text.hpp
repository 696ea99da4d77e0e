// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <ctime>
#include <string>

namespace edgeproxy::admin {

/// Times as logs write them. What is the same for a whole second is made once a second; so it is cheap to ask in order
/// of time. One thread.
class TimeText {
 public:
    using Time = std::chrono::system_clock::time_point;

    /// "2026-11-22T18:31:40.207Z" (RFC 3339, UTC).
    void append_utc(std::string& out, Time time);
    /// "18:31:40" in local time.
    void append_clock(std::string& out, Time time);
    /// "18:31:40.207" in local time.
    void append_clock_ms(std::string& out, Time time);
    /// "22/Nov/2026:18:31:40 +0000" as nginx's $time_local.
    void append_nginx(std::string& out, Time time);

 private:
    /// One way of writing, kept for the second it was made for.
    struct Kept {
        std::time_t second = -1;
        std::string text;
    };
    const std::string& keep(Kept& kept, std::time_t second, const char* format, bool local);

    Kept utc_, clock_, nginx_;
};

}  // namespace edgeproxy::admin
