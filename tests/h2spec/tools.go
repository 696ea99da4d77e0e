// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Pins h2spec, the conformance suite of HTTP/2, and what it is built from; see tests/run.sh.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
