// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/check.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "config/text.hpp"
#include "config/text_escape.hpp"
#include "upstream/control/exit_code.hpp"

namespace edgeproxy::cli {

namespace {

using config::json_string;
using config::Problem;
using config::Severity;
using control::ExitCode;

std::size_t count(const std::vector<Problem>& problems, Severity severity) {
    return static_cast<std::size_t>(
        std::count_if(problems.begin(), problems.end(), [&](const Problem& p) { return p.severity == severity; }));
}

/// `4 errors, 2 warnings`
std::string summary(const std::vector<Problem>& problems) {
    std::string text;
    for (const Severity severity : {Severity::error, Severity::warning, Severity::note}) {
        const std::size_t number = count(problems, severity);
        if (number != 0) text += (text.empty() ? "" : ", ") + config::counted(number, config::word(severity));
    }
    return text;
}

std::string as_json(const Problem& problem) {
    return "{\"file\":" + json_string(problem.file) + ",\"line\":" + std::to_string(problem.line) +
           ",\"column\":" + std::to_string(problem.column) + ",\"length\":" + std::to_string(problem.length) +
           ",\"severity\":" + json_string(config::word(problem.severity)) + ",\"rule\":" + json_string(problem.rule) +
           ",\"message\":" + json_string(problem.text) + ",\"hint\":" + json_string(problem.hint) + "}";
}

void print_json(std::ostream& out, const std::string& file, const config::LoadResult& loaded) {
    out << "{\"file\":" << json_string(file) << ",\"valid\":" << (loaded.config ? "true" : "false")
        << ",\"problems\":[";
    const char* separator = "\n";
    for (const Problem& problem : loaded.problems) {
        out << separator << as_json(problem);
        separator = ",\n";
    }
    out << "]}\n";
}

void print_headlines(std::ostream& out, const config::LoadResult& loaded) {
    for (const Problem& problem : loaded.problems) out << config::headline(problem) << "\n";
}

}  // namespace

namespace {

config::LoadResult with_machine(config::LoadResult loaded, const std::string& name, const Machine& machine) {
    if (!loaded.config) return loaded;
    auto found = check_machine(*loaded.config, name, loaded.places, machine);
    if (count(found, Severity::error) != 0) loaded.config = nullptr;
    loaded.problems.insert(loaded.problems.end(), std::make_move_iterator(found.begin()),
                           std::make_move_iterator(found.end()));
    std::stable_sort(loaded.problems.begin(), loaded.problems.end(), [](const Problem& a, const Problem& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    return loaded;
}

}  // namespace

config::LoadResult load_and_check(const std::string& file, bool files, const Machine& machine) {
    config::LoadOptions options;
    options.read_env_files = files;
    config::LoadResult loaded = config::load_file(file, options);
    return files ? with_machine(std::move(loaded), file, machine) : loaded;
}

config::LoadResult check_text(const std::string& text, const std::string& name, const std::string& base_dir,
                              const Machine& machine) {
    config::LoadOptions options;
    options.base_dir = base_dir;
    return with_machine(config::load_text(text, name, options), name, machine);
}

std::string describe_problems(const config::LoadResult& loaded) {
    std::string text;
    for (const Problem& problem : loaded.problems) text += config::render(problem, loaded.source_of(problem));
    if (!loaded.problems.empty()) text += summary(loaded.problems) + "\n";
    return text;
}

void log_warnings(const config::LoadResult& loaded, config::Log& log) {
    for (const Problem& problem : loaded.problems) {
        if (problem.severity == Severity::note) continue;  // for who checks, not for every start
        const std::string text = problem.hint.empty() ? problem.text : problem.text + " (" + problem.hint + ")";
        log.warn("config_warning", text,
                 {{"rule", problem.rule}, {"file", problem.file}, {"line", problem.line}, {"column", problem.column}});
    }
}

int run_check(const CommandLine& command, const std::string& file, std::ostream& out, const Machine& machine) {
    const config::LoadResult loaded = load_and_check(file, command.files, machine);
    switch (command.format) {
        case CheckFormat::json:
            print_json(out, file, loaded);
            break;
        case CheckFormat::headlines:
            print_headlines(out, loaded);
            break;
        case CheckFormat::human:
            out << describe_problems(loaded);
            if (loaded.config) out << file << ": valid\n";
            break;
    }
    const bool failed = !loaded.config || (command.strict && count(loaded.problems, Severity::warning) != 0);
    return failed ? ExitCode::bad_config : ExitCode::done;
}

int run_explain(const std::string& file, std::ostream& out, std::ostream& err) {
    const config::LoadResult loaded = load_and_check(file, false);
    err << describe_problems(loaded);
    if (!loaded.config) return ExitCode::bad_config;
    out << config::to_yaml(*loaded.config, {.for_proxy = false, .hide_secrets = true});
    return ExitCode::done;
}

}  // namespace edgeproxy::cli
