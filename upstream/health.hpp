// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace edgeproxy::upstream {

/// Active health of one endpoint: it changes its mind only after several probes in a row said so (`unhealthy_after`,
/// `healthy_after`).
///
/// Pure; no time. A fresh one believes what `healthy` says.
class Health {
 public:
    struct Policy {
        unsigned fall = 3;  ///< failures in a row before traffic stops; 0 counts as 1
        unsigned rise = 1;  ///< passes in a row before it comes back; 0 counts as 1
    };
    enum class Verdict : unsigned char { same, became_healthy, became_unhealthy };

    explicit Health(bool healthy = true) : healthy_(healthy) {}
    bool healthy() const { return healthy_; }
    /// Takes in one probe.
    Verdict observe(bool passed, const Policy& policy);

 private:
    bool healthy_;
    unsigned streak_ = 0;  ///< probes in a row that speak against `healthy_`
};

}  // namespace edgeproxy::upstream
