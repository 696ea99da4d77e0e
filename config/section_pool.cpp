// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "config/command.hpp"
#include "config/env_file.hpp"
#include "config/fields.hpp"
#include "config/section.hpp"

namespace edgeproxy::config {

namespace {

constexpr auto raised_keepalive = std::chrono::seconds(60);  // the most we keep, however long the server would

/// A connection is given up one second before the server would close it under our request.
std::string shorter_than(Duration server_keepalive) {
    const Duration margin = std::chrono::seconds(1);
    if (server_keepalive <= margin) return "off";
    return write_value(*find_field("pools.<name>.keepalive.idle_timeout"),
                       std::min<Duration>(server_keepalive - margin, raised_keepalive));
}

std::string_view kind_trait(Kind kind) {
    return find_field("pools.<name>.managed.kind")->word_list().at(static_cast<std::size_t>(kind));
}

}  // namespace

void Section::worker(Pool& pool) {
    if (written("managed") && scope_.options.internal) {
        pool.managed = true;
        nest("managed", [&](Section& child) { managed_fields(child, pool.command); });
        return;
    }
    if (!written("command")) return refuse_without_command();
    pool.managed = true;
    Command& command = pool.command;
    read_command(command.argv);
    KindChoice kind{};
    BindChoice bind{};
    fields(*this, command, kind, bind);
    read_env_files(command.environment);
    resolve_watch(command.watch);
    command.kind = kind == KindChoice::automatic ? kind_of(command.argv) : static_cast<Kind>(kind);
    const auto facts = look_at(command.argv, command.environment, command.kind);
    command.bind = bind == BindChoice::automatic ? default_bind(command.kind, facts) : static_cast<Bind>(bind);
    command.sync_worker = facts.sync_worker;
    if (facts.threads) scope_.computed[path_of("max_in_flight")] = std::to_string(*facts.threads);
    if (facts.keepalive && !facts.sync_worker)
        scope_.computed[path_of("keepalive.idle_timeout")] = shorter_than(*facts.keepalive);
}

void Section::resolve(Pool& pool) {
    bool local = true;
    for (const Endpoint& endpoint : pool.endpoints) local = local && endpoint.address.is_loopback();
    trait("local", local);
    if (!pool.managed) return;
    trait(kind_trait(pool.command.kind), true);
    trait("sync", pool.command.sync_worker);
}

void Section::read_command(std::vector<std::string>& argv) {
    const Entry& found = *entry("command");
    const Node& node = *found.value;
    const std::string path = path_of("command");
    if (node.is(Node::Kind::list)) {
        for (const Text& text : scalars("command", field("command"))) argv.push_back(text.value);
    } else if (node.is(Node::Kind::scalar)) {
        const auto text = text_of(node, found.place, path, field("command"));
        if (!text) return;
        auto split = split_command(text->value);
        if (!split.value) return judge(*text, {"bad-command", split.complaint, split.hint});
        argv = std::move(*split.value);
        if (!text->changed) scope_.command_texts[path] = text->value;
    } else {
        wrong_kind(node, found.place, path, "text or a list of words");
        return;
    }
    const bool nothing = argv.empty() || argv[0].empty();
    if (nothing) scope_.problems.error(scope_.place_of(path), "bad-command", "the command names no program");
}

void Section::read_env_files(std::map<std::string, std::string>& environment) {
    if (!written("env_file")) return;
    std::vector<std::string> paths;
    (*this)("env_file", paths);
    if (!scope_.options.read_env_files) return;
    std::map<std::string, std::string> from_files;
    for (const auto& path : paths)
        read_env_file(path, scope_.place_of(path_of("env_file")), from_files, scope_.problems);
    // What stands in `environment` wins.
    environment.insert(from_files.begin(), from_files.end());
}

/// `true` and `false` stand for the usual patterns and for none.
void Section::resolve_watch(std::vector<std::string>& patterns) {
    if (patterns == std::vector<std::string>{"true"}) patterns = {"**/*.py"};
    if (patterns == std::vector<std::string>{"false"}) patterns.clear();
    for (std::size_t i = 0; i < patterns.size(); ++i) {
        const std::string& pattern = patterns[i];
        const bool leaves = pattern.starts_with('/') || pattern == ".." || pattern.starts_with("../") ||
                            pattern.find("/../") != std::string::npos || pattern.ends_with("/..");
        if (!pattern.empty() && !leaves && pattern != "true" && pattern != "false") continue;
        scope_.problems.error(scope_.place_of(path_of("watch") + "[" + std::to_string(i) + "]"), "bad-pattern",
                              '"' + pattern + "\" is no pattern of files below the working directory",
                              "write true, or patterns like **/*.py");
    }
}

void Section::refuse_without_command() {
    constexpr std::array<std::string_view, 19> keys{
        "kind",    "workers", "autoscale",   "bind",          "environment",    "env_file",          "working_dir",
        "user",    "group",   "stop_signal", "start_timeout", "start_parallel", "stop_grace_period", "restart",
        "recycle", "hang",    "surge",       "resources",     "watch"};
    for (const auto key : keys) {
        const Entry* found = entry(key);
        if (found == nullptr) continue;
        scope_.problems.error(
            found->place, "no-effect",
            "key \"" + std::string(key) + "\" needs \"command\": nothing is started for endpoints of others");
    }
}

}  // namespace edgeproxy::config
