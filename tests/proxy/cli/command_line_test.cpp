// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/command_line.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <set>

using namespace edgeproxy::cli;
using edgeproxy::config::LogFormat;
using edgeproxy::config::LogLevel;

namespace {

using Arguments = std::vector<const char*>;

CommandLine line(Verb verb, std::string config = {}) {
    CommandLine result;
    result.verb = verb;
    result.config = std::move(config);
    return result;
}

}  // namespace

TEST_CASE("a command line is understood in every order", "[cli]") {
    CommandLine checked = line(Verb::check, "f");
    checked.format = CheckFormat::json;
    checked.strict = true;
    checked.files = false;
    CommandLine logging = line(Verb::serve);
    logging.log_level = LogLevel::debug;
    logging.log_format = LogFormat::json;
    CommandLine restarted = line(Verb::restart, "f");
    restarted.pool = "web";
    CommandLine one = line(Verb::restart);
    one.pool = "web";
    one.worker = "web-2";
    CommandLine scaled = line(Verb::scale);
    scaled.pool = "web";
    scaled.count = 4;
    CommandLine status = line(Verb::status), dry = line(Verb::reload), now = line(Verb::stop);
    status.control = "/run/x.sock";
    status.json = dry.dry_run = now.now = true;
    CommandLine hurried = line(Verb::reload);
    hurried.timeout = std::chrono::seconds(90);
    const auto [arguments, expected] = GENERATE_REF(table<Arguments, CommandLine>({
        {Arguments{}, line(Verb::serve)},
        {Arguments{"serve"}, line(Verb::serve)},
        {Arguments{"-c", "f"}, line(Verb::serve, "f")},
        {Arguments{"-cf", "serve"}, line(Verb::serve, "f")},
        {Arguments{"--config=f"}, line(Verb::serve, "f")},
        {Arguments{"check", "-c", "f"}, line(Verb::check, "f")},
        {Arguments{"--config", "f", "check"}, line(Verb::check, "f")},
        {Arguments{"-t", "-c", "f"}, line(Verb::check, "f")},
        {Arguments{"--check-only"}, line(Verb::check)},
        {Arguments{"-T"}, line(Verb::explain)},
        {Arguments{"explain"}, line(Verb::explain)},
        {Arguments{"version"}, line(Verb::version)},
        {Arguments{"--version"}, line(Verb::version)},
        {Arguments{"-v"}, line(Verb::version)},
        {Arguments{"-V"}, line(Verb::version)},
        {Arguments{"help"}, line(Verb::help)},
        {Arguments{"help", "check"}, line(Verb::help)},
        {Arguments{"check", "--help"}, line(Verb::help)},
        {Arguments{"-h", "--version"}, line(Verb::help)},
        {Arguments{"--strict", "check", "--format", "json", "-c", "f", "--no-files"}, checked},
        {Arguments{"--log-level=debug", "--log-format", "json"}, logging},
        {Arguments{"restart", "web", "-c", "f"}, restarted},
        {Arguments{"restart", "web/web-2"}, one},
        {Arguments{"scale", "web", "4"}, scaled},
        {Arguments{"status", "--json", "--control=/run/x.sock"}, status},
        {Arguments{"--dry-run", "reload"}, dry},
        {Arguments{"stop", "--now"}, now},
        {Arguments{"reload", "--timeout", "1m30s"}, hurried},
        {Arguments{"--timeout=90s", "reload"}, hurried},
        {Arguments{"upgrade"}, line(Verb::upgrade)},
    }));
    const auto parsed = parse_command_line(arguments);
    INFO(parsed.complaint);
    REQUIRE(parsed.value);
    CHECK(*parsed.value == expected);
}

TEST_CASE("what is wrong with a command line is said with what was meant", "[cli]") {
    const auto [arguments, said] = GENERATE(table<Arguments, std::string>({
        {Arguments{"--confg", "x"}, "unknown option \"--confg\"|did you mean \"--config\"?"},
        {Arguments{"chekc"}, "unknown command \"chekc\"|did you mean \"check\"?"},
        {Arguments{"check", "--fromat", "json"}, "unknown option \"--fromat\"|did you mean \"--format\"?"},
        {Arguments{"stack.yaml"}, "unknown command \"stack.yaml\"|write -c stack.yaml"},
        {Arguments{"check", "stack.yaml"}, "unexpected argument \"stack.yaml\"|write -c stack.yaml"},
        {Arguments{"frobnicate"}, "unknown command \"frobnicate\"|"},
        {Arguments{"top"}, "command \"top\" is not supported yet|"},
        {Arguments{"restart"}, "restart needs a pool|write edgeproxy restart POOL"},
        {Arguments{"scale", "web"}, "scale needs a number of workers|write edgeproxy scale web N"},
        {Arguments{"scale", "web", "0"}, "\"0\" is no number of workers|1 to 1024"},
        {Arguments{"scale", "web", "2x"}, "\"2x\" is no number of workers|1 to 1024"},
        {Arguments{"scale", "web", "1025"}, "\"1025\" is no number of workers|1 to 1024"},
        {Arguments{"scale", "web/web-1", "2"}, "scale takes a pool, not a worker|"},
        {Arguments{"drain", "web"}, "drain needs a worker or an endpoint|write edgeproxy drain POOL/WORKER"},
        {Arguments{"undrain", "web/"}, "\"web/\" is no POOL/WORKER|"},
        {Arguments{"status", "web"}, "unexpected argument \"web\"|"},
        {Arguments{"reload", "--json"}, "--json belongs to status|"},
        {Arguments{"status", "--dry-run"}, "--dry-run belongs to reload|"},
        {Arguments{"reload", "--now"}, "--now belongs to stop|"},
        {Arguments{"status", "--timeout", "1s"}, "--timeout belongs to reload, restart and upgrade|"},
        {Arguments{"reload", "--timeout", "30"}, "\"30\" is no length of time for \"--timeout\"|write it like 30s"},
        {Arguments{"reload", "--timeout", "0s"}, "\"0s\" is no length of time for \"--timeout\"|write it like 30s"},
        {Arguments{"check", "--control", "x"}, "--control belongs to the commands for a running edgeproxy|"},
        {Arguments{"--control"}, "option \"--control\" needs a value|"},
        {Arguments{"--set", "a=b"}, "option \"--set\" is not supported yet|"},
        {Arguments{"-s", "reload"}, "option \"-s\" is not supported yet|"},
        {Arguments{"-c"}, "option \"-c\" needs a value|"},
        {Arguments{"--config="}, "option \"--config\" needs a file|"},
        {Arguments{"--strict=yes", "check"}, "option \"--strict\" takes no value|"},
        {Arguments{"check", "--format", "xml"}, "\"xml\" is no value of \"--format\"|one of human, short, json"},
        {Arguments{"--log-level", "loud"},
         "\"loud\" is no value of \"--log-level\"|one of trace, debug, info, warn, error"},
        {Arguments{"--strict"}, "--format, --strict and --no-files belong to check|write edgeproxy check"},
        {Arguments{"check", "--log-level", "info"}, "--log-level and --log-format belong to serve|"},
    }));
    const auto parsed = parse_command_line(arguments);
    CHECK_FALSE(parsed.value);
    CHECK(parsed.complaint + "|" + parsed.hint == said);
}

TEST_CASE("the configuration is looked for in three places, in their order", "[cli]") {
    using Found = std::optional<std::string>;
    using Files = std::set<std::string>;
    const auto [variable, files, found] = GENERATE(table<std::string, Files, Found>({
        {"/a.yaml", Files{"stack.yaml"}, Found{"/a.yaml"}},
        {"", Files{"stack.yaml", "/etc/edgeproxy/stack.yaml"}, Found{"stack.yaml"}},
        {"", Files{"/etc/edgeproxy/stack.yaml"}, Found{"/etc/edgeproxy/stack.yaml"}},
        {"", Files{}, Found{}},
    }));
    const auto environment = [value = variable](const std::string& name) {
        return name == "EDGEPROXY_CONFIG" ? Found{value} : Found{};
    };
    const auto exists = [there = files](const std::string& path) { return there.contains(path); };
    CHECK(find_config(environment, exists) == found);
}
