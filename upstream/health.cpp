// SPDX-License-Identifier: Apache-2.0
#include "upstream/health.hpp"

#include <algorithm>

namespace edgeproxy::upstream {

Health::Verdict Health::observe(bool passed, const Policy& policy) {
    if (passed == healthy_) {
        streak_ = 0;
        return Verdict::same;
    }
    const unsigned needed = std::max(1u, healthy_ ? policy.fall : policy.rise);
    if (++streak_ < needed) return Verdict::same;
    streak_ = 0;
    healthy_ = passed;
    return passed ? Verdict::became_healthy : Verdict::became_unhealthy;
}

}  // namespace edgeproxy::upstream
