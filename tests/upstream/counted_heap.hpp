// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace edgeproxy::upstream::test {

/// How often this program has called operator new, on all threads.
std::uint64_t allocations();

}  // namespace edgeproxy::upstream::test
