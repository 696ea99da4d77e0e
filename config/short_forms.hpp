// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "config/section.hpp"

namespace edgeproxy::config {

/// Writes the short forms out: `listen` becomes `listeners`, `app` the pool `app` with a last route to it, `tls: dev`
/// and `tls: {cert, key}` the long form of `tls`; without routes the only pool gets one. Values keep the places where
/// they stand in the file, and `scope.shown` gets their names there. Reports only what makes the writing out
/// impossible; all other checks happen on the long form.
NodePtr expand_short_forms(const NodePtr& root, Scope& scope);

}  // namespace edgeproxy::config
