// SPDX-License-Identifier: Apache-2.0
#include "tls/record_buffers.hpp"

#include <openssl/crypto.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using edgeproxy::tls::RecordBuffers;

namespace {

/// OpenSSL's own calls, which this test makes come here.
struct Block {
    explicit Block(std::size_t size) : data(OPENSSL_malloc(size)) {}
    Block(Block&& other) noexcept : data(std::exchange(other.data, nullptr)) {}
    Block(const Block&) = delete;
    ~Block() { OPENSSL_free(data); }
    void* data;
};

}  // namespace

// The first: OpenSSL takes other memory only before it has taken any. (`--order lex` runs them by name.)
TEST_CASE("1 OpenSSL takes its memory here", "[tls][memory]") {
    REQUIRE(RecordBuffers::install());
    CHECK(RecordBuffers::kept() == 0);
    const void* first = nullptr;
    {
        const Block block{RecordBuffers::smallest};
        first = block.data;
        std::memset(block.data, 1, RecordBuffers::smallest);
    }
    CHECK(RecordBuffers::kept() == 1);
    const Block again{RecordBuffers::largest};  // any size of a record fits
    CHECK(again.data == first);
    CHECK(RecordBuffers::kept() == 0);
}

TEST_CASE("2 what is no record's goes to the heap", "[tls][memory]") {
    const unsigned before = RecordBuffers::kept();
    for (const std::size_t size : {std::size_t{1}, RecordBuffers::smallest - 1, RecordBuffers::largest + 4096}) {
        Block(Block{size});
        CHECK(RecordBuffers::kept() == before);
    }
    CHECK(OPENSSL_malloc(0) == nullptr);
    OPENSSL_free(nullptr);
}

TEST_CASE("3 a block keeps its bytes when it grows", "[tls][memory]") {
    const unsigned before = RecordBuffers::kept();
    auto* const block = static_cast<char*>(OPENSSL_malloc(RecordBuffers::smallest));
    block[0] = 'a';
    auto* const larger = static_cast<char*>(OPENSSL_realloc(block, 100'000));
    CHECK(larger[0] == 'a');
    auto* const smaller = static_cast<char*>(OPENSSL_realloc(larger, 10));
    CHECK(smaller[0] == 'a');
    OPENSSL_free(smaller);
    auto* const shrunk = static_cast<char*>(OPENSSL_realloc(std::memset(OPENSSL_malloc(17'000), 'b', 17'000), 10));
    CHECK(std::string_view(shrunk, 10) == "bbbbbbbbbb");
    OPENSSL_free(shrunk);
    CHECK(OPENSSL_realloc(OPENSSL_malloc(17'000), 0) == nullptr);
    CHECK(RecordBuffers::kept() <= before);
}

TEST_CASE("4 a thread keeps so many, and none behind its end", "[tls][memory]") {
    const unsigned before = RecordBuffers::kept();
    std::vector<Block> foreign;
    std::thread other([&] {
        {
            std::vector<Block> many;
            for (unsigned i = 0; i < RecordBuffers::most_kept + 3; ++i) many.emplace_back(RecordBuffers::largest);
        }
        CHECK(RecordBuffers::kept() == RecordBuffers::most_kept);
        foreign.emplace_back(RecordBuffers::largest);
    });
    other.join();
    CHECK(RecordBuffers::kept() == before);
    foreign.clear();  // may be freed on another thread
    CHECK(RecordBuffers::kept() == before + 1);
}
