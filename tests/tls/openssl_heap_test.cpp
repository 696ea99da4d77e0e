// SPDX-License-Identifier: Apache-2.0
#include "tls/openssl_heap.hpp"

#include <openssl/crypto.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string_view>
#include <utility>

#include "tls/io/large_blocks.hpp"
#include "tls/io/library_heap.hpp"

using edgeproxy::io::LargeBlocks;
using edgeproxy::io::LibraryHeap;

namespace {

constexpr std::size_t record = LibraryHeap::smallest_large;

/// OpenSSL's own calls, which this test makes come here.
struct Block {
    explicit Block(std::size_t size) : data(OPENSSL_malloc(size)) {}
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block() { OPENSSL_free(data); }
    void* data;
};

}  // namespace

// The first: OpenSSL takes other memory only before it has taken any. (`--order lex` runs them by name.)
TEST_CASE("1 OpenSSL takes records from what its thread keeps", "[tls][memory]") {
    REQUIRE(edgeproxy::tls::install_openssl_heap());
    CHECK(LargeBlocks::waiting() == 0);
    const void* first = nullptr;
    {
        const Block block{record};
        first = block.data;
        std::memset(block.data, 1, record);
    }
    CHECK(LargeBlocks::waiting() == 1);
    const Block again{record + 500};  // any size of a record fits
    CHECK(again.data == first);
    CHECK(LargeBlocks::waiting() == 0);
}

TEST_CASE("2 what is no record's goes to the heap", "[tls][memory]") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{64}, record - 1, std::size_t{30'000}}) {
        const Block block{size};
        CHECK_FALSE(LibraryHeap::is_own(block.data));
    }
    CHECK(OPENSSL_malloc(0) == nullptr);
    OPENSSL_free(nullptr);
}

TEST_CASE("3 a block keeps its bytes when it grows", "[tls][memory]") {
    auto* const block = static_cast<char*>(OPENSSL_malloc(record));
    block[0] = 'a';
    auto* const larger = static_cast<char*>(OPENSSL_realloc(block, 100'000));
    CHECK(larger[0] == 'a');
    auto* const smaller = static_cast<char*>(OPENSSL_realloc(larger, 10));
    CHECK(smaller[0] == 'a');
    OPENSSL_free(smaller);
    CHECK(OPENSSL_realloc(OPENSSL_malloc(record), 0) == nullptr);
}
