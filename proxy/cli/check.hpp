// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <ostream>
#include <string>

#include "config/load.hpp"
#include "config/log.hpp"
#include "proxy/cli/command_line.hpp"
#include "proxy/cli/machine.hpp"

namespace edgeproxy::cli {

/// Loads the file and, unless `files` is false, looks at the machine as well: the result has no plan when either found
/// an error. What `serve` begins with and `check` is about.
config::LoadResult load_and_check(const std::string& file, bool files, const Machine& machine = Machine::here());

/// The same for a text that stands in no file; relative paths start from `base_dir`.
config::LoadResult check_text(const std::string& text, const std::string& name, const std::string& base_dir,
                              const Machine& machine = Machine::here());

/// Every problem with its excerpt, then `4 errors, 2 warnings`; nothing when there is none.
std::string describe_problems(const config::LoadResult& loaded);

/// The warnings of a plan that is about to be served, as records `config_warning`: the log keeps its one format.
void log_warnings(const config::LoadResult& loaded, config::Log& log);

/// `edgeproxy check`: the findings on `out` in the format asked for. Returns ExitCode::done or ExitCode::bad_config.
int run_check(const CommandLine& command, const std::string& file, std::ostream& out,
              const Machine& machine = Machine::here());

/// `edgeproxy explain`: the canonical long form on `out`, secrets as `***`; problems on `err`. Returns ExitCode::done
/// or ExitCode::bad_config.
int run_explain(const std::string& file, std::ostream& out, std::ostream& err);

}  // namespace edgeproxy::cli
