# SPDX-License-Identifier: Apache-2.0
# Sourced behind examples/setup.sh: builds h2spec, the conformance suite of HTTP/2, into build/tools/bin. Its version and
# those of everything in it are pinned by tests/h2spec/go.mod and go.sum.

edgeproxy_h2spec() {
    local tool="$EDGEPROXY_TOOLS/bin/h2spec" stamp
    stamp="$(sha256sum <"$EDGEPROXY_ROOT/tests/h2spec/go.sum")"
    [[ -x $tool && "$(cat "$tool.stamp" 2>/dev/null)" == "$stamp" ]] && return 0
    command -v go >/dev/null || edgeproxy_packages "$EDGEPROXY_ROOT/examples/packages.txt" h2spec || return 1
    edgeproxy_say "building h2spec into build/tools (go install)"
    if (cd "$EDGEPROXY_ROOT/tests/h2spec" &&
        GOBIN="$EDGEPROXY_TOOLS/bin" GOFLAGS="-mod=readonly -buildvcs=false" timeout 600 \
            go install github.com/summerwind/h2spec/cmd/h2spec); then
        printf '%s\n' "$stamp" >"$tool.stamp"
        return 0
    fi
    [[ ${CI:-} != true ]] || { edgeproxy_fail "h2spec could not be built"; return 1; }
    printf '==> h2spec could not be built (no network?); its test will be skipped\n' >&2
}
