// SPDX-License-Identifier: Apache-2.0
#include "config/load.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "config/fields.hpp"
#include "config/reader.hpp"
#include "config/resolve.hpp"
#include "config/section.hpp"
#include "config/short_forms.hpp"
#include "config/validate.hpp"

namespace edgeproxy::config {

namespace {

/// The directory of the file, absolute; the current one when there is none in the name.
std::string directory_of(const std::string& name) {
    std::error_code ignored;
    const auto current = std::filesystem::current_path(ignored).string();
    return absolute_path(current.empty() ? "/" : current, std::filesystem::path(name).parent_path().string());
}

LoadResult refused(const std::string& name, std::string rule, std::string text, std::string hint = {}) {
    LoadResult result;
    result.problems.push_back({Severity::error, name, 0, 0, 0, std::move(rule), std::move(text), std::move(hint)});
    return result;
}

}  // namespace

LoadResult load_file(const std::string& path, const LoadOptions& options) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return refused(path, "no-file", "this is a directory");
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return refused(path, "no-file", std::string("cannot read it: ") + std::strerror(errno), "name it with -c FILE");
    std::string text;
    // One byte more than may be, so that a device that never ends is noticed as well.
    constexpr std::size_t step = 64 * 1024;
    while (text.size() <= largest_file && file) {
        const std::size_t before = text.size();
        text.resize(before + step);
        file.read(text.data() + before, static_cast<std::streamsize>(step));
        text.resize(before + static_cast<std::size_t>(file.gcount()));
    }
    if (file.bad()) return refused(path, "no-file", "cannot read it to the end");
    return load_text(text, path, options);
}

LoadResult load_text(std::string_view text, const std::string& name, const LoadOptions& options) {
    LoadResult result;
    result.name = name;
    Problems problems(name);
    if (const auto root = read_yaml(text, problems)) {
        Scope scope(problems, options, options.base_dir.empty() ? directory_of(name) : options.base_dir);
        if (root->is(Node::Kind::map)) {
            auto config = std::make_shared<Config>();
            Section section(scope, expand_short_forms(root, scope), "", "", {});
            fields(section, *config);
            resolve(*config);
            validate(*config, scope);
            if (!problems.has_errors()) result.config = std::move(config);
            result.places = std::move(scope.places);
        } else {
            problems.error(root->place, "wrong-kind", "the file must be a map of keys", "begin with listen: \":8080\"");
        }
    }
    result.problems = problems.take();
    if (text.size() <= largest_file) result.source = text;
    return result;
}

std::string Endpoint::shown_name() const {
    return name.empty() ? address.to_string() : name;
}

const Pool* Config::find_pool(const std::string& name) const {
    const auto found = std::find_if(pools.begin(), pools.end(), [&](const Pool& pool) { return pool.name == name; });
    return found == pools.end() ? nullptr : &*found;
}

std::vector<const Tls*> Config::tls_sets() const {
    std::vector<const Tls*> sets{&tls};
    for (const Listener& listener : listeners) {
        if (listener.own_tls) sets.push_back(&*listener.own_tls);
    }
    return sets;
}

std::size_t Config::tls_set_of(const Listener& listener) const {
    if (!listener.own_tls) return 0;
    const auto sets = tls_sets();
    return static_cast<std::size_t>(std::find(sets.begin(), sets.end(), &*listener.own_tls) - sets.begin());
}

const PoolTls& Config::tls_of(const Pool& pool, const Endpoint& endpoint) {
    return endpoint.tls ? *endpoint.tls : pool.tls;
}

std::vector<KeyFiles> Config::endpoint_files() const {
    std::vector<KeyFiles> files;
    const auto add = [&files](const PoolTls& one) {
        if (!one.ca.empty()) files.push_back({one.ca, {}});
        if (!one.cert.empty()) files.push_back({one.cert, one.key});
    };
    for (const Pool& pool : pools) {
        add(pool.tls);
        for (const Endpoint& endpoint : pool.endpoints) {
            if (endpoint.tls) add(*endpoint.tls);
        }
    }
    return files;
}

}  // namespace edgeproxy::config
