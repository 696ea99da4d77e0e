// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/gunicorn_file.hpp"

#include <algorithm>
#include <array>

namespace edgeproxy::cli {

namespace {

using config::CommandProblem;
using config::Severity;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r";
    const auto begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string_view without_quotes(std::string_view text) {
    const bool quoted = text.size() > 1 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
    return quoted ? text.substr(1, text.size() - 2) : text;
}

/// Worker classes that speak WSGI, which has one place for the client's address, and gunicorn puts its peer there.
bool is_wsgi(std::string_view worker_class) {
    constexpr std::array<std::string_view, 6> of_wsgi{"sync",        "gthread",       "gevent",
                                                      "gevent_wsgi", "gevent_pywsgi", "eventlet"};
    return std::find(of_wsgi.begin(), of_wsgi.end(), worker_class) != of_wsgi.end();
}

}  // namespace

std::optional<std::string> assigned(std::string_view python, std::string_view name) {
    std::optional<std::string> value;
    while (!python.empty()) {
        const auto end = std::min(python.find('\n'), python.size());
        const std::string_view line = python.substr(0, end);
        python.remove_prefix(std::min(end + 1, python.size()));
        if (!line.starts_with(name)) continue;
        const std::string_view rest = trimmed(line.substr(name.size()));
        if (!rest.starts_with('=') || rest.starts_with("==")) continue;
        value = without_quotes(trimmed(rest.substr(1, rest.find('#') - 1)));
    }
    return value;
}

std::vector<CommandProblem> check_gunicorn(const config::CommandFacts& facts, const GunicornFile* file,
                                           bool capacity_written) {
    std::vector<CommandProblem> problems;
    const std::string_view text = file != nullptr ? std::string_view(file->text) : std::string_view();
    const auto workers = assigned(text, "workers"), file_class = assigned(text, "worker_class");
    if (workers && *workers != "1") {
        problems.push_back({Severity::warning, 0, "unseen-config",
                            "workers in " + file->name + " makes gunicorn start processes that edgeproxy cannot see",
                            "take it out there and write workers: N in this file"});
    }
    // Of a file that the command names the same is said without looking into it.
    const bool decides = file_class || assigned(text, "threads");
    if (decides && !file->asked && !facts.worker_class && !facts.threads && !capacity_written) {
        problems.push_back(
            {Severity::warning, 0, "unseen-config",
             "the worker class in " + file->name + ", which gunicorn reads, is not seen; sync is assumed",
             "write -k in the command, or max_in_flight for the pool"});
    }
    const bool known = facts.worker_class || file != nullptr || !facts.config_file;
    if (known && is_wsgi(facts.worker_class.value_or(file_class.value_or("sync")))) {
        // Whether the application helps itself cannot be seen: no warning.
        problems.push_back({Severity::note, 0, "forwarded-ignored",
                            "gunicorn reads no X-Forwarded-For: a WSGI app sees scheme https, but no client address",
                            "wrap the app in werkzeug's ProxyFix(app, x_for=1, x_host=1), if it is not yet"});
    }
    return problems;
}

}  // namespace edgeproxy::cli
