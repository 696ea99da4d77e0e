// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::admin {

/// May a request with this Host be answered? Yes for `localhost`, any IP address, and the names in `hosts`, each with
/// or without a port. Other names are pages of other sites whose name was made to resolve to us (DNS rebinding).
bool is_allowed_host(std::string_view host, const std::vector<std::string>& hosts);

}  // namespace edgeproxy::admin
