// SPDX-License-Identifier: Apache-2.0
#include "config/short_forms.hpp"

#include <algorithm>
#include <array>

namespace edgeproxy::config {

namespace {

class ShortForms {
 public:
    ShortForms(const Node& root, Scope& scope) : scope_(scope), entries_(root.entries) {}

    NodePtr run() {
        write_out_tls();
        write_out_listeners_tls();
        write_out_listen();
        write_out_app();
        write_out_workers();
        route_to_the_only_pool();
        return make_map(std::move(entries_), {});
    }

 private:
    using List = std::vector<Entry>;

    static Entry* find(List& list, std::string_view key) {
        const auto found = std::find_if(list.begin(), list.end(), [&](const Entry& e) { return e.key == key; });
        return found == list.end() ? nullptr : &*found;
    }

    static std::optional<Entry> take(List& list, std::string_view key) {
        const auto found = std::find_if(list.begin(), list.end(), [&](const Entry& e) { return e.key == key; });
        if (found == list.end()) return std::nullopt;
        Entry entry = std::move(*found);
        list.erase(found);
        return entry;
    }

    void write_out_tls() {
        Entry* tls = find(entries_, "tls");
        if (tls == nullptr) return;
        if (tls->value->is(Node::Kind::map)) return write_out_certificate(*tls, "tls");
        if (tls->value->is(Node::Kind::scalar) && scope_.expanded(*tls->value).text == "dev") {
            tls->value = make_map({{"dev", tls->value->place, make_scalar("true", tls->value->place)}}, tls->place);
            return;
        }
        const Place place = tls->value->is(Node::Kind::scalar) ? tls->value->place : tls->place;
        scope_.problems.error(place, "wrong-kind", "\"tls\" must be a map with cert and key, or dev",
                              "write { cert: fullchain.pem, key: privkey.pem }");
        take(entries_, "tls");
    }

    /// What a listener's own `tls` does not say is as at the top level; where its certificates come from goes together.
    static void inherit(Entry& own, const Entry* top) {
        if (top == nullptr || !top->value->is(Node::Kind::map)) return;
        constexpr std::array<std::string_view, 3> sources{"certificates", "dir", "dev"};
        const auto is_source = [&](std::string_view key) {
            return std::find(sources.begin(), sources.end(), key) != sources.end();
        };
        List keys = own.value->entries;
        const bool has_source = std::any_of(keys.begin(), keys.end(), [&](const Entry& e) { return is_source(e.key); });
        for (const Entry& entry : top->value->entries) {
            if (find(keys, entry.key) != nullptr || (has_source && is_source(entry.key))) continue;
            keys.push_back(entry);
        }
        own.value = make_map(std::move(keys), own.value->place);
    }

    void write_out_listeners_tls() {
        Entry* listeners = find(entries_, "listeners");
        if (listeners == nullptr || !listeners->value->is(Node::Kind::map)) return;
        List all = listeners->value->entries;
        for (Entry& listener : all) {
            if (!listener.value->is(Node::Kind::map)) continue;
            List keys = listener.value->entries;
            Entry* tls = find(keys, "tls");
            if (tls == nullptr || !tls->value->is(Node::Kind::map)) continue;
            write_out_certificate(*tls, "listeners." + listener.key + ".tls");
            inherit(*tls, find(entries_, "tls"));
            listener.value = make_map(std::move(keys), listener.value->place);
        }
        listeners->value = make_map(std::move(all), listeners->value->place);
    }

    void write_out_certificate(Entry& tls, const std::string& path) {
        List keys = tls.value->entries;
        const auto cert = take(keys, "cert"), key = take(keys, "key");
        if (!cert && !key) return;
        const Place place = cert ? cert->place : key->place;
        if (!cert || !key) {
            scope_.problems.error(place, "missing-key",
                                  '"' + path + (cert ? ".cert\" needs \"" : ".key\" needs \"") + path +
                                      (cert ? ".key\" beside it" : ".cert\" beside it"));
        } else if (find(keys, "certificates") != nullptr) {
            scope_.problems.error(place, "written-twice", "write either cert and key or certificates, not both");
        } else {
            const auto certificate = make_map({*cert, *key}, place);
            keys.push_back({"certificates", place, make_list({certificate}, place)});
            scope_.shown[path + ".certificates[0]"] = path;
            tls.value = make_map(std::move(keys), tls.value->place);
            return;
        }
        // What remains is checked; that a certificate is missing has been said.
        incomplete_tls_ = true;  // of whichever listener
        keys.push_back({"dev", place, make_scalar("true", place)});
        std::erase_if(keys, [](const Entry& e) { return e.key == "certificates"; });
        tls.value = make_map(std::move(keys), tls.value->place);
    }

    /// Ports that people open only to send everybody to https.
    bool becomes_redirect(const Node& item) {
        if (!item.is(Node::Kind::scalar)) return false;
        const auto address = parse_address(expand(item.text, scope_.environment).text);
        return address && !address->is_unix() && (address->port == 80 || address->port == 8080);
    }

    void write_out_listen() {
        auto listen = take(entries_, "listen");
        if (!listen) return;
        if (find(entries_, "listeners") != nullptr) {
            scope_.problems.error(listen->place, "written-twice", "write either listen or listeners, not both");
            return;
        }
        const bool secure = find(entries_, "tls") != nullptr || incomplete_tls_;
        std::vector<NodePtr> all =
            listen->value->is(Node::Kind::list) ? listen->value->items : std::vector<NodePtr>{listen->value};
        std::vector<NodePtr> serving, redirecting;
        for (const auto& item : all) (secure && becomes_redirect(*item) ? redirecting : serving).push_back(item);
        List listeners;
        const auto add = [&](const std::string& name, std::vector<NodePtr> addresses, const char* key,
                             const char* value) {
            List keys{{"address", listen->place, make_list(std::move(addresses), listen->place)}};
            if (key != nullptr) keys.push_back({key, listen->place, make_scalar(value, listen->place)});
            listeners.push_back({name, listen->place, make_map(std::move(keys), listen->place)});
            scope_.shown["listeners." + name + ".address"] = "listen";
            scope_.shown["listeners." + name] = "listen";
        };
        if (!redirecting.empty()) add("http", redirecting, "redirect", "https");
        if (!serving.empty() || redirecting.empty())
            add(secure ? "https" : "http", serving, secure ? "tls" : nullptr, "true");
        entries_.push_back({"listeners", listen->place, make_map(std::move(listeners), listen->place)});
    }

    void write_out_app() {
        auto app = take(entries_, "app");
        if (!app) return;
        if (app->value->is(Node::Kind::scalar) || app->value->is(Node::Kind::list)) {
            app->value = make_map({{"command", app->value->place, app->value}}, app->value->place);
            scope_.shown["pools.app.command"] = "app";
        }
        scope_.shown["pools.app"] = "app";
        add_pool(*app);
        add_route(*app);
    }

    void add_pool(const Entry& app) {
        Entry* pools = find(entries_, "pools");
        if (pools == nullptr) {
            entries_.push_back({"pools", app.place, make_map({{"app", app.place, app.value}}, app.place)});
            return;
        }
        if (!pools->value->is(Node::Kind::map)) return;
        List list = pools->value->entries;
        if (const Entry* other = find(list, "app")) {
            scope_.problems.error(
                app.place, "written-twice",
                "the pool \"app\" is written twice: here and in line " + std::to_string(other->place.line));
            return;
        }
        list.push_back({"app", app.place, app.value});
        pools->value = make_map(std::move(list), pools->value->place);
    }

    void add_route(const Entry& app) {
        const auto route = make_map({{"pool", app.place, make_scalar("app", app.place)}}, app.place);
        Entry* routes = find(entries_, "routes");
        if (routes == nullptr) {
            entries_.push_back({"routes", app.place, make_list({route}, app.place)});
        } else if (routes->value->is(Node::Kind::list)) {
            auto items = routes->value->items;
            items.push_back(route);
            routes->value = make_list(std::move(items), routes->value->place);
        }
    }

    /// `workers: {min: 2, max: 8}` is a number that finds itself.
    void write_out_workers() {
        Entry* pools = find(entries_, "pools");
        if (pools == nullptr || !pools->value->is(Node::Kind::map)) return;
        List list = pools->value->entries;
        bool changed = false;
        for (Entry& pool : list) {
            if (!pool.value->is(Node::Kind::map)) continue;
            List keys = pool.value->entries;
            Entry* const workers = find(keys, "workers");
            if (workers == nullptr || !workers->value->is(Node::Kind::map)) continue;
            const bool braces =
                workers->value->entries.size() == 1 && workers->value->entries.front().value->is(Node::Kind::null);
            if (braces) continue;  // {N}: told as what it is
            if (find(keys, "autoscale") != nullptr) {
                scope_.problems.error(workers->place, "written-twice",
                                      "write either workers with min and max or autoscale, not both");
                take(keys, "workers");
            } else {
                workers->key = "autoscale";
                scope_.shown["pools." + pool.key + ".autoscale"] = scope_.shown_path("pools." + pool.key) + ".workers";
            }
            pool.value = make_map(std::move(keys), pool.value->place);
            changed = true;
        }
        if (changed) pools->value = make_map(std::move(list), pools->value->place);
    }

    void route_to_the_only_pool() {
        const Entry* pools = find(entries_, "pools");
        const bool one = pools != nullptr && pools->value->is(Node::Kind::map) && pools->value->entries.size() == 1;
        if (!one || find(entries_, "routes") != nullptr) return;
        const Entry& pool = pools->value->entries.front();
        const auto route = make_map({{"pool", pool.place, make_scalar(pool.key, pool.place)}}, pool.place);
        entries_.push_back({"routes", pool.place, make_list({route}, pool.place)});
    }

    Scope& scope_;
    List entries_;
    bool incomplete_tls_ = false;
};

}  // namespace

NodePtr expand_short_forms(const NodePtr& root, Scope& scope) {
    return ShortForms(*root, scope).run();
}

}  // namespace edgeproxy::config
