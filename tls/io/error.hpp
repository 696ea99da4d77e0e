// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace edgeproxy::io {

/// How an operation on a stream of bytes ended without bytes. System errors (ECONNRESET, EPIPE ...) come in the system
/// category.
enum class errc {
    eof = 1,    ///< the peer finished sending; nothing is left to read
    timed_out,  ///< the operation's deadline passed
    cancelled,  ///< somebody on our side ended the wait
};

const boost::system::error_category& category();
inline boost::system::error_code make_error_code(errc e) {
    return {static_cast<int>(e), category()};
}

using error_code = boost::system::error_code;
template <class T>
using Result = boost::system::result<T>;

}  // namespace edgeproxy::io

template <>
struct boost::system::is_error_code_enum<edgeproxy::io::errc> : std::true_type {};
