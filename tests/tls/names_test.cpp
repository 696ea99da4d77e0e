// SPDX-License-Identifier: Apache-2.0
#include "tls/names.hpp"

#include <catch2/catch.hpp>

using edgeproxy::tls::NameIndex;

TEST_CASE("a name finds its certificate: exactly, else by a wildcard of one label", "[tls][names]") {
    NameIndex index;
    index.add("Example.com", 1);
    index.add("*.example.com", 2);
    index.add("api.example.com", 3);
    index.add("api.example.com", 4);  // the first keeps it
    index.add("*.deep.example.com", 5);
    index.add("dot.test.", 6);
    index.finish();
    const auto [name, certificate] = GENERATE(table<std::string, std::size_t>({
        {"example.com", 1},
        {"EXAMPLE.COM", 1},
        {"example.com.", 1},
        {"www.example.com", 2},
        {"WwW.example.com", 2},
        {"api.example.com", 3},
        {"deep.example.com", 2},
        {"a.deep.example.com", 5},
        {"a.b.example.com", NameIndex::none},
        {"dot.test", 6},
        {"com", NameIndex::none},
        {".example.com", NameIndex::none},
        {"*.example.com", 2},  // an exact entry; no client sends it
        {"xexample.com", NameIndex::none},
        {"example.co", NameIndex::none},
        {"", NameIndex::none},
        {".", NameIndex::none},
        {std::string(254, 'a'), NameIndex::none},
        {std::string(253, 'a'), NameIndex::none},
    }));
    INFO(name);
    CHECK(index.find(name) == certificate);
}
