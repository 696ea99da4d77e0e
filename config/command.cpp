// SPDX-License-Identifier: Apache-2.0
#include "config/command.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace edgeproxy::config {

namespace {

constexpr std::array<std::string_view, 6> known_placeholders{"socket", "fd", "port", "host", "index", "pool"};

std::string_view base_name(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

Kind kind_named(std::string_view name) {
    if (name == "uvicorn") return Kind::uvicorn;
    if (name == "gunicorn") return Kind::gunicorn;
    if (name == "hypercorn") return Kind::hypercorn;
    if (name == "daphne") return Kind::daphne;
    return Kind::generic;
}

bool is_python(std::string_view program) {
    return program.starts_with("python") || program.starts_with("pypy");
}

/// Where `-m module` names the module, or argv.size(): a script or `-c` comes first, or nothing.
std::size_t module_of_python(const Argv& argv, std::size_t from) {
    for (std::size_t i = from; i < argv.size(); ++i) {
        const std::string& word = argv[i];
        if (!word.starts_with('-') || word == "-" || word == "-c") return argv.size();
        if (word == "-m") return std::min(i + 1, argv.size());
        if (word == "-X" || word == "-W") ++i;
    }
    return argv.size();
}

bool is_assignment(std::string_view word) {
    const auto equals = word.find('=');
    return equals != std::string_view::npos && equals > 0 && word.find('/') > equals && !word.starts_with('-');
}

/// Skips programs that only start another one.
std::size_t skip_launchers(const Argv& argv) {
    std::size_t at = 0;
    while (at < argv.size()) {
        const auto program = base_name(argv[at]);
        const bool runs = at + 1 < argv.size() && argv[at + 1] == "run";
        constexpr std::array<std::string_view, 5> tools{"poetry", "uv", "pipenv", "pdm", "hatch"};
        if (program == "env") {
            ++at;
            while (at < argv.size() && (is_assignment(argv[at]) || argv[at].starts_with('-'))) ++at;
        } else if (runs && std::find(tools.begin(), tools.end(), program) != tools.end()) {
            at += 2;
            while (at < argv.size() && argv[at].starts_with('-')) ++at;
        } else {
            break;
        }
    }
    return at;
}

/// The word that names the server: the program, or the module that python runs.
std::size_t server_word(const Argv& argv) {
    const std::size_t program = skip_launchers(argv);
    if (program >= argv.size() || !is_python(base_name(argv[program]))) return program;
    const std::size_t module = module_of_python(argv, program + 1);
    return module < argv.size() ? module : program;
}

/// A value given to `--long V`, `--long=V`, `-s V` or `-sV`: the last one counts, as with argparse and click.
std::optional<std::string> option(const Argv& words, std::size_t from, std::string_view long_name,
                                  std::string_view short_name = {}) {
    std::optional<std::string> value;
    for (std::size_t i = from; i < words.size(); ++i) {
        const std::string_view word = words[i];
        const bool exact = word == long_name || (!short_name.empty() && word == short_name);
        if (exact) {
            value = i + 1 < words.size() ? words[i + 1] : "";
        } else if (word.starts_with(long_name) && word.size() > long_name.size() && word[long_name.size()] == '=') {
            value = word.substr(long_name.size() + 1);
        } else if (!short_name.empty() && word.starts_with(short_name) && !word.starts_with("--")) {
            value = word.substr(short_name.size());
        }
    }
    return value;
}

std::optional<unsigned> small_number(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    const auto parsed = parse_count(*text);
    constexpr std::uint64_t most = 1'000'000;
    if (!parsed.value || *parsed.value > most) return std::nullopt;
    return static_cast<unsigned>(*parsed.value);
}

std::optional<Duration> seconds(const std::optional<std::string>& text) {
    const auto number = small_number(text);
    if (!number) return std::nullopt;
    return Duration(std::chrono::seconds(*number));
}

std::string variable(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string{} : found->second;
}

void look_at_gunicorn(const Argv& argv, std::size_t from, const Environment& environment, CommandFacts& facts) {
    // gunicorn reads its variable first and the command line over it.
    Argv words = split_command(variable(environment, "GUNICORN_CMD_ARGS")).value.value_or(Argv{});
    words.insert(words.end(), argv.begin() + static_cast<std::ptrdiff_t>(std::min(from, argv.size())), argv.end());
    facts.worker_class = option(words, 0, "--worker-class", "-k");
    const auto worker_class = facts.worker_class.value_or("sync");
    const auto threads = small_number(option(words, 0, "--threads"));
    if (threads && *threads > 1) facts.threads = threads;
    facts.sync_worker = worker_class == "sync" && !facts.threads;
    if (worker_class != "sync" && worker_class != "gthread") facts.threads.reset();
    facts.keepalive = seconds(option(words, 0, "--keep-alive"));
    facts.config_file = option(words, 0, "--config", "-c");
}

std::optional<Bind> placeholder_bind(const Argv& argv) {
    for (const auto& [mark, bind] :
         {std::pair{"{socket}", Bind::unix_path}, std::pair{"{fd}", Bind::fd}, std::pair{"{port}", Bind::tcp}}) {
        const bool used = std::any_of(argv.begin(), argv.end(), [&, text = mark](const std::string& word) {
            return word.find(text) != std::string::npos;
        });
        if (used) return bind;
    }
    return std::nullopt;
}

/// Reads one command, character by character.
class Splitter {
 public:
    explicit Splitter(std::string_view text) : text_(text) {}

    Parsed<Argv> run() {
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
                finish_word();
            } else if (c == '\'' || c == '"') {
                if (!quoted(c)) return {{}, "a quote is not closed", "end it with " + std::string(1, c)};
            } else if (c == '\\') {
                if (at_ == text_.size()) return {{}, "a backslash at the end stands for nothing", {}};
                add(text_[at_++]);
            } else {
                add(c);
            }
        }
        finish_word();
        return {std::move(words_), {}, {}};
    }

 private:
    void add(char c) {
        word_ += c;
        in_word_ = true;
    }

    bool quoted(char quote) {
        in_word_ = true;
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == quote) return true;
            const bool escape = quote == '"' && c == '\\' && at_ < text_.size() &&
                                std::string_view("\\\"$`\n").find(text_[at_]) != std::string_view::npos;
            word_ += escape ? text_[at_++] : c;
        }
        return false;
    }

    void finish_word() {
        if (in_word_) words_.push_back(std::exchange(word_, {}));
        in_word_ = false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::string word_;
    bool in_word_ = false;
    Argv words_;
};

}  // namespace

Parsed<Argv> split_command(std::string_view text) {
    return Splitter(text).run();
}

Kind kind_of(const Argv& argv) {
    const std::size_t at = server_word(argv);
    if (at >= argv.size()) return Kind::generic;
    auto name = base_name(argv[at]);
    return kind_named(name.substr(0, name.find('.')));
}

std::size_t arguments_of(const Argv& argv) {
    return std::min(server_word(argv) + 1, argv.size());
}

CommandFacts look_at(const Argv& argv, const Environment& environment, Kind kind) {
    CommandFacts facts;
    const std::size_t from = arguments_of(argv);
    facts.placeholder_bind = placeholder_bind(argv);
    if (kind == Kind::gunicorn) look_at_gunicorn(argv, from, environment, facts);
    if (kind == Kind::uvicorn) {
        facts.keepalive = seconds(option(argv, from, "--timeout-keep-alive"));
        if (!facts.keepalive) {
            const auto set = variable(environment, "UVICORN_TIMEOUT_KEEP_ALIVE");
            if (!set.empty()) facts.keepalive = seconds(set);
        }
    }
    if (kind == Kind::hypercorn) facts.keepalive = seconds(option(argv, from, "--keep-alive"));
    return facts;
}

Bind default_bind(Kind kind, const CommandFacts& facts) {
    if (facts.placeholder_bind) return *facts.placeholder_bind;
    switch (kind) {
        case Kind::uvicorn:
        case Kind::gunicorn:
        case Kind::hypercorn:
            return Bind::fd;
        case Kind::daphne:
            return Bind::unix_path;
        case Kind::generic:
            break;
    }
    return Bind::tcp;
}

std::span<const std::string_view> placeholders() {
    return known_placeholders;
}

}  // namespace edgeproxy::config
