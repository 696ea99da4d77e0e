// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace edgeproxy::respond {

/// `application/grpc`, `application/grpc+proto` ..., but not `application/grpc-web`.
bool is_grpc(std::string_view content_type);

/// The grpc-status, as text, that tells a gRPC client what an HTTP status of ours means: UNAVAILABLE for 502 and 503,
/// DEADLINE_EXCEEDED for 504 ...
std::string_view grpc_status(unsigned http_status);

}  // namespace edgeproxy::respond
