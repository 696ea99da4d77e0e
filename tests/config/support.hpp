// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>

#include "config/load.hpp"

/// A world that is the same on every machine: four CPUs, 1000 files, root, two variables.
inline edgeproxy::config::LoadOptions quiet_world() {
    edgeproxy::config::LoadOptions options;
    options.base_dir = "/srv";
    options.cpus = 4;
    options.file_limit = 1000;
    options.memory = 1000 * 1024 * 1024;
    options.uid = 0;
    options.environment = [](const std::string& name) -> std::optional<std::string> {
        if (name == "SECRET") return "hunter2";
        if (name == "EMPTY") return "";
        return std::nullopt;
    };
    return options;
}

inline edgeproxy::config::LoadResult load(const std::string& text) {
    return edgeproxy::config::load_text(text, "stack.yaml", quiet_world());
}

/// `2:1+6 error unknown-key: text | hint`, a line each.
inline std::string described(const std::vector<edgeproxy::config::Problem>& problems) {
    std::string all;
    for (const auto& p : problems) {
        all += std::to_string(p.line) + ":" + std::to_string(p.column) + "+" + std::to_string(p.length);
        all += " " + std::string(edgeproxy::config::word(p.severity)) + " ";
        all += p.rule + ": " + p.text + " | " + p.hint + "\n";
    }
    return all;
}

inline std::string problems_of(const std::string& text) {
    return described(load(text).problems);
}

/// The plan of a text that has no errors; a test fails loudly on an empty pointer when it has.
inline edgeproxy::config::Config plan(const std::string& text) {
    auto result = load(text);
    if (!result.config) throw std::runtime_error(described(result.problems));
    return *result.config;
}
