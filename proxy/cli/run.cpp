// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/run.hpp"

#include "config/text.hpp"
#include "config/units.hpp"
#include "proxy/cli/arguments.hpp"

namespace edgeproxy::cli {

namespace {

using config::in_quotes;

void workers(Arguments& arguments, RunOptions& out) {
    out.workers = arguments.value();
    if (out.workers == "auto" || config::parse_count(out.workers).value || !arguments.complaint().empty()) return;
    arguments.complain(in_quotes(out.workers) + " is no number of workers", "a number, or auto");
}

void tls(Arguments& arguments, RunOptions& out) {
    const std::string value = arguments.value();
    out.tls_dev = value == "dev";
    if (out.tls_dev || !arguments.complaint().empty()) return;
    arguments.complain(in_quotes(value) + " is no value of \"--tls\"",
                       "write --tls dev, or --cert FILE --key FILE for a certificate");
}

void option(Arguments& arguments, RunOptions& out, const std::string& word) {
    if (word == "--help" || word == "-h") {
        out.help = true;
    } else if (word == "--print-config") {
        out.print_config = true;
    } else if (word == "--workers" || word == "-w") {
        workers(arguments, out);
    } else if (word == "--listen" || word == "-l") {
        out.listen.push_back(arguments.value());
    } else if (word == "--tls") {
        tls(arguments, out);
    } else if (word == "--cert") {
        out.cert = arguments.value();
    } else if (word == "--key") {
        out.key = arguments.value();
    } else if (word == "--health") {
        out.health = arguments.value();
    } else if (word == "--metrics") {
        out.metrics = arguments.value();
    } else if (word == "--runtime-dir") {
        out.runtime_dir = arguments.value();
    } else if (word.starts_with('-')) {
        arguments.complain("unknown option " + in_quotes(word) + " of run", "edgeproxy run --help tells those it has");
    } else {
        arguments.complain("unexpected argument " + in_quotes(word), "the command stands behind --");
    }
}

}  // namespace

ParsedRun parse_run(std::span<const std::string> words) {
    ParsedRun out;
    Arguments arguments(words);
    while (const auto word = arguments.next()) option(arguments, out.options, *word);
    RunOptions& options = out.options;
    options.command = arguments.behind();
    if (options.command.empty() && !options.help)
        arguments.complain("run needs a command", "edgeproxy run -- uvicorn main:app");
    if (options.cert.empty() != options.key.empty()) arguments.complain("--cert and --key belong together");
    if (options.tls_dev && !options.cert.empty()) arguments.complain("write either --tls dev or --cert and --key");
    out.complaint = arguments.complaint();
    out.hint = arguments.hint();
    return out;
}

std::string run_stack(const RunOptions& options, const std::string& folder) {
    const bool secure = options.tls_dev || !options.cert.empty();
    std::vector<std::string> listen = options.listen;
    if (listen.empty()) listen = {secure ? ":8443" : ":8080"};
    std::string out = "listen: " + yaml_list(listen) + "\n";
    if (options.tls_dev) out += "tls: dev\n";
    if (!options.cert.empty())
        out += "tls: { cert: " + yaml_text(options.cert) + ", key: " + yaml_text(options.key) + " }\n";
    out += "app:\n  command: " + yaml_list(options.command) + "\n  working_dir: " + yaml_text(folder) + "\n";
    if (!options.workers.empty()) out += "  workers: " + options.workers + "\n";
    if (!options.health.empty()) out += "  health: " + yaml_text(options.health) + "\n";
    if (options.metrics == "off") {
        out += "metrics: { enabled: false }\n";
    } else if (!options.metrics.empty()) {
        out += "metrics: { listen: " + yaml_text(options.metrics) + " }\n";
    }
    if (!options.runtime_dir.empty()) out += "server: { runtime_dir: " + yaml_text(options.runtime_dir) + " }\n";
    return out;
}

}  // namespace edgeproxy::cli
