// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace edgeproxy::tls {

/// Makes OpenSSL take the memory of records from io::LargeBlocks: some 16.5 KiB that it reads them into and writes them
/// from, had for every burst of a connection and given back when it falls silent (SSL_MODE_RELEASE_BUFFERS). In the
/// heap they would leave holes in which long-lived small allocations settle. Everything else goes to malloc as before.
///
/// For the whole process, before its first use of OpenSSL: false if that is over, and nothing is changed then.
[[nodiscard]] bool install_openssl_heap();

}  // namespace edgeproxy::tls
