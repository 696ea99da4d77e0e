// SPDX-License-Identifier: Apache-2.0
#include "config/difference.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "config/flat.hpp"

namespace edgeproxy::config {

const Field& Flat::field(std::string_view key) const {
    const Field* row = find_field(row_of(key));
    if (row == nullptr) throw std::logic_error("no row in the field table for " + row_of(key));
    return *row;
}

namespace {

/// A plan taken apart.
struct Parts {
    explicit Parts(const Config& config) {
        Config copy = config;
        Flat flat(values, things);
        fields(flat, copy);
        for (const FlatValue& value : values) by_path.emplace(value.path, &value);
        known.insert(things.begin(), things.end());
    }
    const FlatValue* find(const std::string& path) const {
        const auto it = by_path.find(path);
        return it != by_path.end() ? it->second : nullptr;
    }
    std::vector<FlatValue> values;
    std::vector<std::string> things;
    std::map<std::string, const FlatValue*> by_path;
    std::set<std::string> known;
};

bool is_below(const std::string& path, const std::string& thing) {
    return path.size() > thing.size() && path.starts_with(thing) &&
           (path[thing.size()] == '.' || path[thing.size()] == '[');
}

/// What a thing as a whole counts for: a managed pool that is new or gone is no roll of anybody.
Difference whole(Difference::Kind kind, const std::string& path) {
    return {kind, path, {}, {}, Change::live};
}

std::string shown(const FlatValue* value) {
    if (value == nullptr || value->value.empty()) return {};
    return value->secret ? "***" : value->value;
}

void compare_values(const Parts& before, const Parts& after, std::vector<Difference>& out) {
    for (const FlatValue& value : after.values) {
        const FlatValue* const old = before.find(value.path);
        if (!value.thing.empty() && before.known.count(value.thing) == 0) continue;  // the whole thing is new
        if (old != nullptr ? old->value == value.value : value.value.empty()) continue;
        out.push_back({Difference::Kind::changed, value.path, shown(old), shown(&value), value.field->change});
    }
    for (const FlatValue& value : before.values) {
        if (after.find(value.path) != nullptr || value.value.empty()) continue;
        if (!value.thing.empty() && after.known.count(value.thing) == 0) continue;
        out.push_back({Difference::Kind::changed, value.path, shown(&value), {}, value.field->change});
    }
}

void compare_things(const Parts& before, const Parts& after, Difference::Kind kind, std::vector<Difference>& out) {
    std::string within;  // a thing that is told already tells for what is in it
    for (const std::string& thing : after.things) {
        if (before.known.count(thing) != 0 || (!within.empty() && is_below(thing, within))) continue;
        within = thing;
        out.push_back(whole(kind, thing));
    }
}

/// The order of those that both have: routes are tried in it.
std::string order_of(const std::vector<Route>& routes, const std::vector<Route>& others) {
    std::string out;
    for (const Route& route : routes) {
        const bool common =
            std::any_of(others.begin(), others.end(), [&](const Route& other) { return other.name == route.name; });
        if (common) out += (out.empty() ? "" : ", ") + route.name;
    }
    return out;
}

}  // namespace

std::vector<Difference> compare(const Config& before, const Config& after) {
    const Parts old(before), made(after);
    std::vector<Difference> out;
    compare_values(old, made, out);
    compare_things(old, made, Difference::Kind::added, out);
    compare_things(made, old, Difference::Kind::removed, out);
    const std::string was = order_of(before.routes, after.routes), is = order_of(after.routes, before.routes);
    if (was != is) out.push_back({Difference::Kind::changed, "routes", was, is, Change::live});
    return out;
}

std::vector<Difference> keep_fixed(const Config& before, Config& after) {
    const Config wanted = after;
    after.server.threads = before.server.threads;
    after.server.user = before.server.user;
    after.server.group = before.server.group;
    after.server.runtime_dir = before.server.runtime_dir;
    after.server.state_dir = before.server.state_dir;
    after.metrics.enabled = before.metrics.enabled;
    after.metrics.listen = before.metrics.listen;
    for (Listener& listener : after.listeners) {
        for (const Listener& old : before.listeners) {
            if (old.name == listener.name) listener.backlog = old.backlog;
        }
    }
    return compare(after, wanted);
}

bool must_roll(const std::vector<Difference>& differences, const std::string& pool) {
    return std::any_of(differences.begin(), differences.end(), [&](const Difference& one) {
        return one.kind == Difference::Kind::changed && one.change == Change::roll &&
               is_below(one.path, "pools." + pool);
    });
}

std::string describe(const std::vector<Difference>& differences) {
    std::size_t widest = 0;
    for (const Difference& one : differences) widest = std::max(widest, one.path.size());
    widest = std::min<std::size_t>(widest, 60);
    std::string out;
    for (const Difference& one : differences) {
        const bool kept = one.change == Change::restart;
        const char sign = one.kind == Difference::Kind::added     ? '+'
                          : one.kind == Difference::Kind::removed ? '-'
                          : kept                                  ? '!'
                                                                  : '~';
        out += std::string("  ") + sign + " " + one.path;
        if (one.kind == Difference::Kind::changed) {
            if (one.path.size() < widest) out.append(widest - one.path.size(), ' ');
            out += "  " + (one.before.empty() ? "(none)" : one.before) + " -> " +
                   (one.after.empty() ? "(none)" : one.after);
        }
        if (kept) out += "   needs a restart, kept";
        if (one.change == Change::roll && one.kind == Difference::Kind::changed) out += "   workers are replaced";
        out += "\n";
    }
    return out;
}

}  // namespace edgeproxy::config
