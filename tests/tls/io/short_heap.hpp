// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace edgeproxy::io::test {

/// While one lives this program has no memory: operator new throws, on all threads. Nothing is CHECKed meanwhile, since
/// that takes memory too. One at a time.
class NoMemory {
 public:
    NoMemory();
    ~NoMemory();
    NoMemory(const NoMemory&) = delete;
    NoMemory& operator=(const NoMemory&) = delete;
};

}  // namespace edgeproxy::io::test
