// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/message.hpp"

#include <array>
#include <cstddef>

namespace edgeproxy::http {
namespace {
constexpr std::array<std::string_view, 9> method_names{"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                                       "OPTIONS", "PATCH", "TRACE", "CONNECT"};
}

Method method_of(std::string_view token) {
    switch (token.size()) {
        case 3:
            return token == "GET" ? Method::get : token == "PUT" ? Method::put : Method::other;
        case 4:
            return token == "POST" ? Method::post : token == "HEAD" ? Method::head : Method::other;
        case 5:
            return token == "PATCH" ? Method::patch : token == "TRACE" ? Method::trace : Method::other;
        case 6:
            return token == "DELETE" ? Method::delete_ : Method::other;
        case 7:
            return token == "OPTIONS" ? Method::options : token == "CONNECT" ? Method::connect : Method::other;
        default:
            return Method::other;
    }
}

std::string_view text(Method method) {
    return method == Method::other ? std::string_view{} : method_names[static_cast<std::size_t>(method)];
}

bool is_safe(Method method) {
    return method == Method::get || method == Method::head || method == Method::options || method == Method::trace;
}

bool is_idempotent(Method method) {
    return is_safe(method) || method == Method::put || method == Method::delete_;
}

void Request::reset() {
    method = Method::other;
    version = Version::http11;
    method_text = target = path = query = authority = host = scheme = websocket_key = {};
    has_query = absolute_form = false;
    port.reset();
    body = {};
    connection.clear();
    keep_alive = expect_continue = te_trailers = websocket = upgrade_other = false;
    fields.clear();
}

void Response::reset() {
    status = 0;
    version = Version::http11;
    reason = {};
    body = {};
    connection.clear();
    keep_alive = switching = false;
    fields.clear();
}

}  // namespace edgeproxy::http
