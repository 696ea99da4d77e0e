// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstring>
#include <string>

#include "config/load.hpp"
#include "config/log.hpp"
#include "proxy/admin/log_lines.hpp"
#include "proxy/app.hpp"
#include "upstream/master/supervisor.hpp"

int main(int argc, char** argv) {
    using namespace edgeproxy;
    std::string file = "stack.yaml";
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--role=proxy") == 0) return proxy::run_proxy(control::Channel{io::UniqueFd{3}});
        if (std::strcmp(argv[i], "-c") == 0 && i + 1 < argc) file = argv[++i];
    }
    config::LoadResult loaded = config::load_file(file);
    for (const auto& problem : loaded.problems)
        std::fprintf(stderr, "%s\n", config::render(problem, loaded.source).c_str());
    if (!loaded.config) return 3;
    config::Log log{loaded.config->logging.level};
    master::MasterOptions options;
    options.config_name = file;
    admin::LogLines lines;
    options.format = [&lines](const config::LogRecord& record, bool json) {
        std::string text;
        if (json) {
            lines.append_json(text, record);
        } else {
            lines.append_console(text, record, {});
        }
        return text;
    };
    return master::run_master(options, loaded.config, log);
}
