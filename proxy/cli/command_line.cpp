// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/command_line.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "config/synonyms.hpp"
#include "config/text.hpp"
#include "config/units.hpp"

namespace edgeproxy::cli {

namespace {

using config::in_quotes;

constexpr std::array<std::string_view, 13> verbs{
    "serve",   "check", "explain", "version", "help", "status", "reload",
    "restart", "scale", "drain",   "undrain", "stop", "upgrade"};  // in the order of Verb
constexpr std::array<std::string_view, 10> later_verbs{"proxy", "top",  "logs",       "requests",    "schema",
                                                       "man",   "init", "completion", "healthcheck", "reopen"};
constexpr std::array<std::string_view, 11> later_options{
    "--set",      "--color",           "--no-color",       "--socket", "--request", "--diff",
    "--defaults", "--require-healthy", "--allow-dev-cert", "-q",       "-s"};
constexpr std::array<std::string_view, 21> options{
    "-c",           "--config", "--format",  "--strict",  "--no-files", "--check-only", "--log-level",
    "--log-format", "--help",   "-h",        "--version", "-v",         "-V",           "-t",
    "-T",           "-help",    "--control", "--json",    "--dry-run",  "--now",        "--timeout"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

template <std::size_t N>
std::optional<std::size_t> index_of(const std::array<std::string_view, N>& list, std::string_view word) {
    const auto found = std::find(list.begin(), list.end(), word);
    if (found == list.end()) return std::nullopt;
    return static_cast<std::size_t>(found - list.begin());
}

class Parser {
 public:
    explicit Parser(std::span<const char* const> arguments) : rest_(arguments) {}

    ParsedCommandLine run() {
        while (!rest_.empty() && complaint_.empty()) {
            const std::string_view word = rest_.front();
            rest_ = rest_.subspan(1);
            if (word.starts_with('-') && word.size() > 1) {
                option(word);
            } else {
                operand(word);
            }
        }
        if (complaint_.empty()) check_options();
        if (!complaint_.empty()) return {std::nullopt, complaint_, hint_};
        return {command_, {}, {}};
    }

 private:
    void complain(std::string text, std::string hint = {}) {
        complaint_ = std::move(text);
        hint_ = std::move(hint);
    }

    void operand(std::string_view word) {
        if (verb_written_) {
            if (command_.verb == Verb::help) return;  // `help check`: one page says it all
            if (takes_pool() && command_.pool.empty()) return name_pool(word);
            if (command_.verb == Verb::scale && !counted_) return name_count(word);
            return complain("unexpected argument " + in_quotes(word),
                            word.ends_with(".yaml") ? "write -c " + std::string(word) : "");
        }
        verb_written_ = true;
        if (const auto verb = index_of(verbs, word)) {
            command_.verb = static_cast<Verb>(*verb);
        } else if (word == "dev" || word == "run" || word == "cert") {
            complain("command " + in_quotes(word) + " must be the first word");
        } else if (contains(later_verbs, word)) {
            complain("command " + in_quotes(word) + " is not supported yet");
        } else {
            unknown_command(word);
        }
    }

    bool takes_pool() const {
        return command_.verb == Verb::restart || command_.verb == Verb::scale || command_.verb == Verb::drain ||
               command_.verb == Verb::undrain;
    }

    /// POOL or POOL/WORKER.
    void name_pool(std::string_view word) {
        const auto slash = word.find('/');
        command_.pool = word.substr(0, slash);
        if (slash == std::string_view::npos) {
            if (command_.pool.empty()) complain("a pool needs a name");
            return;
        }
        command_.worker = word.substr(slash + 1);
        if (command_.pool.empty() || command_.worker.empty()) complain(in_quotes(word) + " is no POOL/WORKER");
        if (command_.verb == Verb::scale) complain("scale takes a pool, not a worker");
    }

    void name_count(std::string_view word) {
        constexpr unsigned most = config::most_workers;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), command_.count);
        counted_ = true;
        if (error != std::errc{} || end != word.data() + word.size() || command_.count < 1 || command_.count > most)
            complain(in_quotes(word) + " is no number of workers", "1 to " + std::to_string(most));
    }

    void unknown_command(std::string_view word) {
        const bool file = word.ends_with(".yaml") || word.ends_with(".yml");
        complain("unknown command " + in_quotes(word),
                 file ? "write -c " + std::string(word) : config::nearest_hint(word, verbs));
    }

    void option(std::string_view word) {
        const auto equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
        const auto name = word.substr(0, equals);
        std::optional<std::string> given;
        if (equals != std::string_view::npos) given = word.substr(equals + 1);
        if (flag(name)) {
            if (given) complain("option " + in_quotes(name) + " takes no value");
        } else if (name == "-c" || name == "--config") {
            take(name, given, command_.config);
            if (complaint_.empty() && command_.config.empty()) complain("option " + in_quotes(name) + " needs a file");
        } else if (word.starts_with("-c") && !word.starts_with("--")) {
            command_.config = word.substr(2);
        } else if (name == "--control") {
            take(name, given, command_.control);
        } else if (name == "--timeout") {
            std::string value;
            take(name, given, value);
            if (complaint_.empty()) wait_at_most(value);
        } else if (name == "--format" || name == "--log-level" || name == "--log-format") {
            std::string value;
            take(name, given, value);
            if (complaint_.empty()) choose(name, value);
        } else if (contains(later_options, name)) {
            complain("option " + in_quotes(name) + " is not supported yet");
        } else {
            complain("unknown option " + in_quotes(name), config::nearest_hint(name, options));
        }
    }

    /// Options without a value; some are other programs' words for a command.
    bool flag(std::string_view name) {
        if (name == "--help" || name == "-h" || name == "-help") return become(Verb::help);
        if (name == "--version" || name == "-v" || name == "-V") return become(Verb::version);
        if (name == "-t" || name == "--check-only") return become(Verb::check);
        if (name == "-T") return become(Verb::explain);
        if (name == "--json") return command_.json = true;
        if (name == "--dry-run") return command_.dry_run = true;
        if (name == "--now") return command_.now = true;
        if (name == "--strict") return command_.strict = check_only_ = true;
        if (name != "--no-files") return false;
        command_.files = false;
        return check_only_ = true;
    }

    bool become(Verb verb) {
        // Asking for help wins, so that it can be added to anything.
        if (command_.verb != Verb::help) command_.verb = verb;
        verb_written_ = true;
        return true;
    }

    void take(std::string_view name, const std::optional<std::string>& given, std::string& value) {
        if (given) {
            value = *given;
        } else if (rest_.empty()) {
            complain("option " + in_quotes(name) + " needs a value");
        } else {
            value = rest_.front();
            rest_ = rest_.subspan(1);
        }
    }

    void wait_at_most(std::string_view value) {
        const auto length = config::parse_duration(value);
        if (!length.value || length.value->count() == 0)
            return complain(in_quotes(value) + " is no length of time for \"--timeout\"", "write it like 30s");
        command_.timeout = *length.value;
    }

    void choose(std::string_view name, std::string_view value) {
        constexpr std::array<std::string_view, 3> formats{"human", "short", "json"};                  // CheckFormat
        constexpr std::array<std::string_view, 5> levels{"trace", "debug", "info", "warn", "error"};  // LogLevel
        constexpr std::array<std::string_view, 3> log_formats{"auto", "console", "json"};             // LogFormat
        if (name == "--format") {
            check_only_ = true;
            if (const auto index = chosen(formats, name, value)) command_.format = static_cast<CheckFormat>(*index);
        } else if (name == "--log-level") {
            if (const auto index = chosen(levels, name, value))
                command_.log_level = static_cast<config::LogLevel>(*index);
        } else if (const auto index = chosen(log_formats, name, value)) {
            command_.log_format = static_cast<config::LogFormat>(*index);
        }
    }

    template <std::size_t N>
    std::optional<std::size_t> chosen(const std::array<std::string_view, N>& words, std::string_view name,
                                      std::string_view value) {
        const auto index = index_of(words, value);
        if (index) return index;
        std::string all;
        for (const auto word : words) all += (all.empty() ? "one of " : ", ") + std::string(word);
        complain(in_quotes(value) + " is no value of " + in_quotes(name), all);
        return std::nullopt;
    }

    void check_options() {
        const Verb verb = command_.verb;
        if (check_only_ && verb == Verb::serve)
            complain("--format, --strict and --no-files belong to check", "write edgeproxy check");
        const bool logs = command_.log_level || command_.log_format;
        if (logs && verb != Verb::serve && verb != Verb::help) complain("--log-level and --log-format belong to serve");
        if (verb != Verb::help) check_control_options();
    }

    void check_control_options() {
        const Verb verb = command_.verb;
        const std::string name(verbs[static_cast<std::size_t>(verb)]);
        if (command_.json && verb != Verb::status) complain("--json belongs to status");
        if (command_.dry_run && verb != Verb::reload) complain("--dry-run belongs to reload");
        if (command_.now && verb != Verb::stop) complain("--now belongs to stop");
        const bool waits = verb == Verb::reload || verb == Verb::restart || verb == Verb::upgrade;
        if (command_.timeout && !waits) complain("--timeout belongs to reload, restart and upgrade");
        if (!command_.control.empty() && !is_asked(verb))
            complain("--control belongs to the commands for a running edgeproxy");
        if (!takes_pool()) return;
        if (command_.pool.empty()) complain(name + " needs a pool", "write edgeproxy " + name + " POOL");
        if (verb == Verb::scale && !command_.pool.empty() && !counted_)
            complain("scale needs a number of workers", "write edgeproxy scale " + command_.pool + " N");
        const bool resting = verb == Verb::drain || verb == Verb::undrain;
        if (resting && !command_.pool.empty() && command_.worker.empty())
            complain(name + " needs a worker or an endpoint", "write edgeproxy " + name + " POOL/WORKER");
    }

    std::span<const char* const> rest_;
    CommandLine command_;
    bool verb_written_ = false;
    bool counted_ = false;     // scale's number was given
    bool check_only_ = false;  // an option that only `check` understands was given
    std::string complaint_, hint_;
};

}  // namespace

ParsedCommandLine parse_command_line(std::span<const char* const> arguments) {
    return Parser(arguments).run();
}

std::optional<std::string> find_config(const std::function<std::optional<std::string>(const std::string&)>& environment,
                                       const std::function<bool(const std::string&)>& exists) {
    const auto set = environment("EDGEPROXY_CONFIG");
    if (set && !set->empty()) return set;
    for (const char* path : {"stack.yaml", "/etc/edgeproxy/stack.yaml"}) {
        if (exists(path)) return path;
    }
    return std::nullopt;
}

std::optional<std::string> config_file(const CommandLine& command) {
    if (!command.config.empty()) return command.config;
    const auto variable = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
    const auto exists = [](const std::string& path) {
        std::error_code ignored;
        return std::filesystem::exists(path, ignored);
    };
    return find_config(variable, exists);
}

}  // namespace edgeproxy::cli
