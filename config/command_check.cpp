// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "config/command.hpp"
#include "config/synonyms.hpp"
#include "config/text.hpp"

namespace edgeproxy::config {

namespace {

/// An option as it stands in a command: `--port 80`, `--port=80`, `-w4`.
struct Found {
    std::size_t word;
    std::string value;  ///< empty for a flag
};

class Checker {
 public:
    Checker(const Argv& argv, const Environment& environment, Kind kind, Bind bind)
        : argv_(argv), environment_(environment), kind_(kind), bind_(bind), from_(arguments_of(argv)) {}

    std::vector<CommandProblem> run() {
        check_words();
        check_placeholders();
        switch (kind_) {
            case Kind::uvicorn:
                uvicorn();
                break;
            case Kind::gunicorn:
                gunicorn();
                break;
            case Kind::hypercorn:
                hypercorn();
                break;
            case Kind::daphne:
                daphne();
                break;
            case Kind::generic:
                break;
        }
        return std::move(problems_);
    }

 private:
    void error(std::size_t word, std::string text, std::string hint) {
        problems_.push_back({Severity::error, word, "command-flag", std::move(text), std::move(hint)});
    }
    void warn(std::size_t word, std::string rule, std::string text, std::string hint) {
        problems_.push_back({Severity::warning, word, std::move(rule), std::move(text), std::move(hint)});
    }

    std::optional<Found> find(std::string_view long_name, std::string_view short_name = {}) const {
        for (std::size_t i = from_; i < argv_.size(); ++i) {
            const std::string_view word = argv_[i];
            const bool exact = word == long_name || (!short_name.empty() && word == short_name);
            if (exact) return Found{i, i + 1 < argv_.size() ? argv_[i + 1] : ""};
            const bool joined =
                word.starts_with(long_name) && word.size() > long_name.size() && word[long_name.size()] == '=';
            if (joined) return Found{i, std::string(word.substr(long_name.size() + 1))};
            const bool attached = !short_name.empty() && word.starts_with(short_name) && !word.starts_with("--");
            if (attached) return Found{i, std::string(word.substr(short_name.size()))};
        }
        return std::nullopt;
    }

    bool uses(std::string_view mark) const {
        return std::any_of(argv_.begin(), argv_.end(),
                           [&](const std::string& word) { return word.find(mark) != std::string::npos; });
    }

    static bool has_placeholder(std::string_view value) {
        const auto open = value.find('{');
        return open != std::string_view::npos && value.find('}', open) != std::string_view::npos;
    }

    /// Words that only a shell would understand.
    void check_words() {
        constexpr std::array<std::string_view, 8> operators{"&&", "||", "|", ";", "&", ">", ">>", "2>&1"};
        for (std::size_t i = 0; i < argv_.size(); ++i) {
            if (std::find(operators.begin(), operators.end(), argv_[i]) == operators.end()) continue;
            warn(i, "shell-syntax", in_quotes(argv_[i]) + " is handed to the program: no shell is run",
                 "write sh -c '...' if you need one");
            break;
        }
        const auto equals = argv_.empty() ? std::string::npos : argv_[0].find('=');
        if (equals != std::string::npos && equals > 0 && argv_[0].find('/') > equals) {
            error(0, in_quotes(argv_[0].substr(0, equals + 1) + "...") + " is no program: no shell is run",
                  "write it under environment: " + argv_[0].substr(0, equals));
        }
    }

    void check_placeholders() {
        for (std::size_t i = 0; i < argv_.size(); ++i) {
            const auto open = argv_[i].find('{');
            const auto close = argv_[i].find('}', open);
            if (open == std::string::npos || close == std::string::npos) continue;
            const std::string_view name = std::string_view(argv_[i]).substr(open + 1, close - open - 1);
            const auto known = placeholders();
            const bool word = !name.empty() && std::all_of(name.begin(), name.end(),
                                                           [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
            if (!word || std::find(known.begin(), known.end(), name) != known.end()) continue;
            const auto near = name == "uds" ? std::string_view("socket") : nearest(name, known);
            warn(i, "unknown-placeholder", "{" + std::string(name) + "} is no placeholder",
                 near.empty() ? "there are {socket} {fd} {port} {host} {index} {pool}"
                              : "did you mean {" + std::string(near) + "}?");
        }
        constexpr std::array<std::pair<std::string_view, Bind>, 3> sockets{
            {{"{socket}", Bind::unix_path}, {"{fd}", Bind::fd}, {"{port}", Bind::tcp}}};
        for (const auto& [mark, wanted] : sockets) {
            if (!uses(mark) || wanted == bind_) continue;
            problems_.push_back({Severity::error, argv_.size(), "bind-mismatch",
                                 std::string(mark) + " in the command does not fit how the worker gets its socket",
                                 "use one of {socket}, {fd} and {port}, and leave bind out"});
            break;
        }
    }

    void refuse_fixed(std::string_view long_name, std::string_view short_name, const std::string& why) {
        const auto found = find(long_name, short_name);
        if (found && !has_placeholder(found->value))
            error(found->word, in_quotes(argv_[found->word]) + " in the command of a managed pool", why);
    }

    void refuse_processes(std::string_view short_name) {
        const auto found = find("--workers", short_name);
        if (!found || found->value == "1") return;
        error(found->word, in_quotes(argv_[found->word]) + " would start processes that edgeproxy cannot see",
              "take it out and write workers: " + (parse_count(found->value).value ? found->value : std::string("N")));
    }

    void warn_web_concurrency() {
        const auto set = environment_.find("WEB_CONCURRENCY");
        if (set == environment_.end() || set->second == "1" || set->second.empty()) return;
        warn(argv_.size(), "web-concurrency",
             "WEB_CONCURRENCY makes every worker start processes that edgeproxy cannot see",
             "take it out of the environment and write workers: N");
    }

    void uvicorn() {
        refuse_processes({});
        refuse_fixed("--reload", {}, "take it out: edgeproxy restarts workers");
        const std::string given = "take it out: edgeproxy gives every worker its own socket";
        refuse_fixed("--uds", {}, given);
        refuse_fixed("--fd", {}, given);
        refuse_fixed("--port", {}, given);
        for (const char* name : {"--ssl-certfile", "--ssl-keyfile"})
            refuse_fixed(name, {}, "take it out: write it under tls");
        warn_web_concurrency();
    }

    void gunicorn() {
        refuse_processes("-w");
        refuse_fixed("--bind", "-b", "take it out: edgeproxy gives every worker its own socket");
        refuse_fixed("--daemon", "-D", "take it out: edgeproxy has to see the process");
        refuse_fixed("--reload", {}, "take it out and write watch: true, or use edgeproxy dev");
        refuse_fixed("--pid", "-p", "take it out: every worker would write the same file");
        for (const char* name : {"--certfile", "--keyfile"}) refuse_fixed(name, {}, "take it out: write it under tls");
        for (const char* name : {"--protocol", "--proxy-protocol"})
            refuse_fixed(name, {}, "take it out: workers are spoken to in plain HTTP");
        warn_web_concurrency();
        const auto timeout = find("--timeout", "-t");
        if (timeout && timeout->value != "0") {
            warn(timeout->word, "worker-timeout",
                 in_quotes(argv_[timeout->word]) + " makes gunicorn kill a worker that is busy for so long",
                 "take it out: hang.kill_after is for workers that hang, timeouts.response for long requests");
        }
        const auto file = find("--config", "-c");
        if (file && !find("--worker-class", "-k") && !find("--threads")) {
            warn(file->word, "unseen-config", "the worker class in gunicorn's own file is not seen; sync is assumed",
                 "write -k in the command, or max_in_flight for the pool");
        }
    }

    void hypercorn() {
        refuse_processes("-w");
        const auto bind = find("--bind", "-b");
        if (!bind || !has_placeholder(bind->value)) {
            error(bind ? bind->word : argv_.size(), "hypercorn does not take the socket that edgeproxy made for it",
                  "add -b fd://{fd} to the command");
        }
        warn(argv_.size(), "forwarded-ignored",
             "hypercorn ignores X-Forwarded-*: the app sees scheme http and no client address",
             "use hypercorn's ProxyFixMiddleware, or another server");
    }

    void daphne() {
        const auto fd = find("--fd");
        if (fd) {
            error(fd->word, "daphne takes --fd for a TCP socket and resets every connection",
                  "write -u {socket} instead");
        } else if (!uses("{socket}") && !uses("{port}")) {
            error(argv_.size(), "daphne does not take the socket that edgeproxy made for it",
                  "add -u {socket} --proxy-headers to the command");
        }
        if (!find("--proxy-headers")) {
            warn(argv_.size(), "forwarded-ignored",
                 "daphne ignores X-Forwarded-*: the app sees scheme http and no client address",
                 "add --proxy-headers to the command");
        }
    }

    const Argv& argv_;
    const Environment& environment_;
    const Kind kind_;
    const Bind bind_;
    const std::size_t from_;
    std::vector<CommandProblem> problems_;
};

}  // namespace

std::vector<CommandProblem> check_command(const Argv& argv, const Environment& environment, Kind kind, Bind bind) {
    return Checker(argv, environment, kind, bind).run();
}

}  // namespace edgeproxy::config
