// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "config/log.hpp"
#include "proxy/admin/time_text.hpp"

namespace edgeproxy::admin {

/// How a console line is dressed.
struct ConsoleStyle {
    bool colour = false;
    bool journal = false;  ///< "<3>" in front, no time: systemd's journal keeps both
};

/// Makes lines, with their '\n', out of log records. One thread.
class LogLines {
 public:
    /// For people: "18:20:06.466 info  web-1     healthy after 354 ms". The third word is the field `worker`, else
    /// `pool`, else `edgeproxy`; further lines of the text are indented below it, so that none can pose as a record.
    /// The other fields follow at debug and trace only: the text says what matters.
    void append_console(std::string& out, const config::LogRecord& record, const ConsoleStyle& style);

    /// One flat JSON object: ts, level, event, the fields in their order, text.
    void append_json(std::string& out, const config::LogRecord& record);

 private:
    TimeText time_;
};

}  // namespace edgeproxy::admin
