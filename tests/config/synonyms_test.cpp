// SPDX-License-Identifier: Apache-2.0
#include "config/synonyms.hpp"

#include <catch2/catch.hpp>

#include "config/field_table.hpp"
#include "tests/config/support.hpp"

using namespace edgeproxy::config;

TEST_CASE("words of other tools get the right word here", "[config][synonyms]") {
    const std::string pool = "pools.<name>", route = "routes[]", listener = "listeners.<name>";
    const std::vector<std::tuple<std::string, std::string, std::string>> expected{
        {pool, "workers", "replicas instances processes scale num_workers"},
        {pool, "environment", "env"},
        {pool, "working_dir", "cwd chdir directory"},
        {pool, "health", "healthcheck health_check probe health_uri"},
        {pool, "balance", "lb_policy strategy lb"},
        {pool, "endpoints", "upstream upstreams backend backends targets servers to"},
        {pool, "stop_grace_period", "graceful_timeout stop_timeout"},
        {pool, "recycle.requests", "max_requests"},
        {pool, "max_in_flight", "max_requests_per_endpoint"},
        {pool, "command", "cmd exec program"},
        {pool, "outlier", "passive"},
        {"", "pools", "upstream upstreams backend backends"},
        {route, "pool", "proxy_pass reverse_proxy backend"},
        {route, "path", "location prefix path_prefix"},
        {route, "host", "server_name domain domains"},
        {route, "max_body", "client_max_body_size limit_body"},
        {route, "static.root", "root alias"},
        {"", "listen", "bind port ports"},
        {"", "listeners", "entrypoints"},
        {listener, "address", "bind port ports"},
        {"", "tls", "ssl"},
        {listener, "tls", "ssl"},
        {"tls", "cert", "certfile ssl_certificate crt"},
        {"tls", "key", "keyfile ssl_certificate_key"},
        {"tls.certificates[]", "cert", "certfile ssl_certificate crt"},
        {"tls.certificates[]", "key", "keyfile ssl_certificate_key"},
    };
    for (const auto& [section, answer, words] : expected) {
        for (std::size_t at = 0; at < words.size();) {
            const auto end = std::min(words.find(' ', at), words.size());
            const auto word = words.substr(at, end - at);
            INFO(section << "." << word);
            CHECK(hint_for_key(section, word) == "edgeproxy calls this \"" + answer + "\"");
            at = end + 1;
        }
    }
    CHECK(hint_for_key(route, "return").find("respond, or redirect") != std::string::npos);
    CHECK(hint_for_key(pool, "depends_on").find("not needed") == 0);
    for (const auto& [section, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"", {"http3", "quic", "compression", "gzip", "static", "cache"}},
             {listener, {"http3", "quic", "compression"}},
             {route, {"compression", "files", "cache"}}}) {
        for (const std::string& word : words) {
            INFO(section << "." << word);
            CHECK(hint_for_key(section, word).ends_with("not supported yet"));
        }
    }
}

TEST_CASE("no synonym is a key, and every answer that names a key names one that exists", "[config][synonyms]") {
    for (const Synonym& synonym : synonyms()) {
        INFO(synonym.section << "." << synonym.word);
        const std::string prefix = synonym.section.empty() ? "" : std::string(synonym.section) + ".";
        CHECK(find_field(prefix + std::string(synonym.word)) == nullptr);
        if (synonym.answer.find(' ') != std::string_view::npos) continue;
        const bool here = find_field(prefix + std::string(synonym.answer)) != nullptr;
        const bool top = find_field(synonym.answer) != nullptr;
        // "static.root" is described by its section until that is built.
        const auto first = prefix + std::string(synonym.answer.substr(0, synonym.answer.find('.')));
        CHECK((here || top || find_field(first) != nullptr));
    }
}

TEST_CASE("slips find the word that was meant, nonsense finds nothing", "[config][synonyms]") {
    CHECK(hint_for_key("pools.<name>", "comand") == "did you mean \"command\"?");
    CHECK(hint_for_key("pools.<name>", "worekrs") == "did you mean \"workers\"?");
    CHECK(hint_for_key("pools.<name>", "frobnicate").empty());
    CHECK(hint_for_key("", "workers") == "this key belongs into pools.<name>");
    CHECK(hint_for_key("pools.<name>", "max_body") == "this key belongs into routes[]");
    CHECK(hint_for_key("pools.<name>", std::string(100'000, 'x')).empty());
    const std::vector<std::string_view> names{"web", "api", ""};
    CHECK(nearest("wbe", names) == "web");
    CHECK(nearest("zzz", names).empty());
    CHECK(nearest("", names).empty());
}
