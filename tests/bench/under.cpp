// SPDX-License-Identifier: Apache-2.0
// Runs a stack with its proxy process under another program, which counts instructions or looks at memory:
//
//   edgeproxy-bench-under stack.yaml /path/of/edgeproxy valgrind --tool=callgrind ...
//
// The master is this process itself, so it is not slowed down and not counted.

#include <cstdio>
#include <string>

#include "config/load.hpp"
#include "proxy/admin/log_lines.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/supervisor.hpp"

int main(int argc, char** argv) {
    using namespace edgeproxy;
    if (argc < 4) {
        std::fprintf(stderr, "usage: edgeproxy-bench-under CONFIG EDGEPROXY PROGRAM [ARGUMENT ...]\n");
        return 2;
    }
    const config::LoadResult loaded = config::load_file(argv[1]);
    for (const config::Problem& problem : loaded.problems)
        std::fputs(config::render(problem, loaded.source).c_str(), stderr);
    if (!loaded.config) return 3;
    config::Log log{loaded.config->logging.level};
    admin::LogLines lines;
    master::MasterOptions options;
    options.config_name = argv[1];
    options.format = [&lines](const config::LogRecord& record, bool) {
        std::string text;
        lines.append_console(text, record, {});
        return text;
    };
    options.proxy_program = argv[3];
    options.proxy_arguments.assign(argv + 3, argv + argc);
    options.proxy_arguments.insert(options.proxy_arguments.end(), {argv[2], std::string(control::proxy_role)});
    return master::run_master(options, loaded.config, log);
}
