// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "config/command.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "config/validate.hpp"

namespace edgeproxy::config {

namespace {

class PoolRules {
 public:
    PoolRules(const Pool& pool, Scope& scope) : pool_(pool), scope_(scope), path_("pools." + pool.name) {}

    void check() {
        check_shape();
        if (!pool_.command.argv.empty()) check_worker();
        check_endpoints();
        check_protocol();
        check_tls();
        check_health();
        check_hang();
        check_autoscale();
    }

 private:
    Place at(const std::string& key) const { return scope_.place_of(path_ + "." + key); }
    bool written(const std::string& key) const { return scope_.written(path_ + "." + key); }
    std::string shown() const { return in_quotes(scope_.shown_path(path_)); }

    void check_shape() {
        const bool endpoints = written("endpoints");
        if (pool_.managed && endpoints) {
            scope_.problems.error(at("endpoints"), "written-twice", shown() + " has both command and endpoints",
                                  "make it two pools");
        } else if (!pool_.managed && !endpoints && !written("command") && !scope_.puzzling.contains(path_)) {
            scope_.problems.error(scope_.place_of(path_), "missing-key", shown() + " has neither command nor endpoints",
                                  "write command to start workers, or endpoints for servers that run already");
        } else if (endpoints && pool_.endpoints.empty()) {
            scope_.problems.error(at("endpoints"), "missing-key", shown() + " has no endpoint");
        }
    }

    void check_worker() {
        const Command& command = pool_.command;
        for (const auto& found : check_command(command.argv, command.environment, command.kind, command.bind)) {
            const bool whole = found.word >= command.argv.size();
            const Place place = whole ? at("command") : word_place(found.word);
            auto& problems = scope_.problems;
            if (found.severity == Severity::error) {
                problems.error(place, found.rule, found.text, found.hint);
            } else if (found.rule != "unseen-config" || !written("max_in_flight")) {
                problems.warn(place, found.rule, found.text, found.hint);
            }
        }
        const auto server = look_at(command.argv, command.environment, command.kind).keepalive;
        const Duration ours = pool_.keepalive.idle_timeout;
        if (server && ours >= *server && ours.count() != 0) {
            scope_.problems.warn(at("keepalive.idle_timeout"), "keepalive-too-long",
                                 "connections are kept for " + format_duration(ours) +
                                     ", but the server closes them after " + format_duration(*server),
                                 "stay below, or raise the server's value");
        }
    }

    /// A list has places for its words; in a text the word is looked for where it stands as it is.
    Place word_place(std::size_t word) const {
        const std::string element = path_ + ".command[" + std::to_string(word) + "]";
        if (scope_.written(element)) return scope_.place_of(element);
        Place place = at("command");
        const auto found = scope_.command_texts.find(path_ + ".command");
        if (found == scope_.command_texts.end()) return place;
        std::size_t from = 0;
        for (std::size_t i = 0; i <= word; ++i) {
            const auto start = found->second.find(pool_.command.argv[i], from);
            if (start == std::string::npos) return place;
            from = i == word ? start : start + pool_.command.argv[i].size();
        }
        // A quoted text is longer in the file by its quotes.
        const std::size_t shift = place.length > found->second.size() ? 1 : 0;
        return {place.line, static_cast<unsigned>(place.column + shift + from),
                static_cast<unsigned>(pool_.command.argv[word].size())};
    }

    void check_endpoints() {
        std::map<std::string, std::size_t> names, addresses;
        for (std::size_t i = 0; i < pool_.endpoints.size(); ++i) {
            const Endpoint& endpoint = pool_.endpoints[i];
            const std::string path = path_ + ".endpoints[" + std::to_string(i) + "]";
            const bool empty = !endpoint.address.is_unix() && endpoint.address.host.empty();
            if (empty && !scope_.written(path + ".address")) {
                scope_.problems.error(scope_.place_of(path), "missing-key", "an endpoint needs an address");
            }
            if (empty) continue;
            if (!addresses.emplace(endpoint.address.to_string(), i).second) {
                scope_.problems.error(scope_.place_of(path), "address-twice",
                                      in_quotes(endpoint.address.to_string()) + " is in this pool already");
            } else if (!names.emplace(endpoint.name, i).second) {
                scope_.problems.error(scope_.place_of(path + ".name"), "duplicate-name",
                                      "the name " + in_quotes(endpoint.name) + " is taken already");
            }
        }
    }

    void check_protocol() {
        const bool over_tls = pool_.protocol == PoolProtocol::h2 || pool_.protocol == PoolProtocol::automatic;
        bool plain = pool_.managed;
        for (const Endpoint& endpoint : pool_.endpoints) {
            plain = plain || endpoint.scheme == Scheme::http;
            if (endpoint.scheme != Scheme::https || pool_.protocol != PoolProtocol::h2c) continue;
            scope_.problems.error(at("protocol"), "bad-protocol",
                                  "h2c is HTTP/2 without TLS, but there is an https:// endpoint", "write protocol: h2");
            return;
        }
        if (!over_tls || !plain) return;
        scope_.problems.error(at("protocol"), "bad-protocol",
                              "this protocol needs TLS, but not every endpoint is https://",
                              "write https://, or protocol: h2c for HTTP/2 in plain text");
    }

    void check_tls() {
        const auto is_https = [](const Endpoint& endpoint) { return endpoint.scheme == Scheme::https; };
        const bool any = std::any_of(pool_.endpoints.begin(), pool_.endpoints.end(), is_https);
        if (written("tls") && !any) {
            scope_.problems.error(at("tls"), "no-effect", "\"tls\" needs an https:// endpoint",
                                  "write endpoints like https://name:443");
        }
        const bool nameless = std::any_of(pool_.endpoints.begin(), pool_.endpoints.end(), [](const Endpoint& endpoint) {
            return endpoint.scheme == Scheme::https && endpoint.address.is_unix() && !endpoint.tls;
        });
        check_tls(pool_.tls, "tls", nameless);
        for (std::size_t i = 0; i < pool_.endpoints.size(); ++i) {
            const Endpoint& endpoint = pool_.endpoints[i];
            if (!endpoint.tls) continue;
            const std::string key = "endpoints[" + std::to_string(i) + "].tls";
            if (endpoint.scheme != Scheme::https)
                scope_.problems.error(at(key), "no-effect", "\"tls\" needs an https:// endpoint",
                                      "write address: https://name:443");
            check_tls(*endpoint.tls, key, endpoint.scheme == Scheme::https && endpoint.address.is_unix());
        }
    }

    void check_tls(const PoolTls& tls, const std::string& key, bool nameless) {
        if (nameless && tls.server_name.empty() && !tls.insecure) {
            scope_.problems.error(at(key), "missing-key",
                                  "\"tls\" needs \"server_name\": a unix socket has no name to verify");
        }
        if (tls.cert.empty() != tls.key.empty()) {
            scope_.problems.error(
                at(key), "missing-key",
                std::string("\"tls\" needs ") + (tls.cert.empty() ? "\"cert\"" : "\"key\"") + " as well");
        }
        if (tls.insecure && !tls.ca.empty()) {
            scope_.problems.error(at(key + ".insecure"), "no-effect", "with \"insecure\" nobody looks at \"ca\"",
                                  "leave insecure out");
        }
    }

    void check_health() {
        const std::string& path = pool_.health.path;
        const bool fine = path.empty() || (path.starts_with('/') && path.find_first_of("# ") == std::string::npos);
        if (!fine) {
            scope_.problems.error(at("health.path"), "bad-path", in_quotes(path) + " is not a path",
                                  "write it like /healthz");
        }
        if (!written("health") || !path.empty() || written("health.path") || pool_.managed) return;
        scope_.problems.error(at("health"), "missing-key", "\"health\" of a pool of others needs \"path\"",
                              "write health: /healthz");
    }

    void check_hang() {
        if (!pool_.managed || pool_.hang.suspect_after <= pool_.hang.kill_after) return;
        scope_.problems.error(at(written("hang.suspect_after") ? "hang.suspect_after" : "hang.kill_after"), "bad-order",
                              "hang.suspect_after is longer than hang.kill_after");
    }

    void check_autoscale() {
        const Autoscale& scale = pool_.autoscale;
        if (!pool_.managed || !written("autoscale")) return;
        const std::string name = scope_.shown_path(path_ + ".autoscale");
        if (scale.max == 0) {
            if (!written("autoscale.max") && !scope_.puzzling.contains(path_ + ".autoscale"))
                scope_.problems.error(at("autoscale"), "missing-key", in_quotes(name) + " needs \"max\"",
                                      "write { min: 1, max: 8 }");
            return;
        }
        if (scale.min > scale.max) {
            scope_.problems.error(at(written("autoscale.min") ? "autoscale.min" : "autoscale.max"), "bad-order",
                                  name + ".min is more than " + name + ".max");
        } else if (pool_.workers < scale.min || pool_.workers > scale.max) {
            scope_.problems.error(at("workers"), "bad-order", "the number to begin with is not within min and max",
                                  "leave workers out to begin with min");
        }
        if (written("max_in_flight") || pool_.command.sync_worker) return;
        scope_.problems.warn(at("autoscale"), "late-scaling",
                             "requests wait only when every worker has " + std::to_string(pool_.max_in_flight) +
                                 " of them: until then there is no further worker",
                             "write max_in_flight: what one worker does well at once");
    }

    const Pool& pool_;
    Scope& scope_;
    const std::string path_;
};

}  // namespace

void validate_pools(const Config& config, Scope& scope) {
    for (const Pool& pool : config.pools) PoolRules(pool, scope).check();
}

}  // namespace edgeproxy::config
