#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every fuzz target for so many seconds, from tests/fuzz/corpus; what it finds lies in build/fuzz/finds. Called by .ci/run
# and by `tests/run.sh --fuzz SECONDS`, which set the machine up.
#
#   run.sh SECONDS [TARGET...]     names without fuzz_
#
# The last line is `N passed, N failed, N skipped`. Exit 1: a target found something.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cd "$root"
# shellcheck source=examples/setup.sh
source examples/setup.sh
# shellcheck source=tests/support/sanitizers.sh
source tests/support/sanitizers.sh
seconds=${1:?how many seconds for each target}
shift
edgeproxy_sanitizers fuzz
edgeproxy_build fuzz fuzzers || exit 2

passed=0
failed=0
shopt -s nullglob
for target in build/fuzz/fuzz_*; do
    name="$(basename "$target")"
    [[ $# -eq 0 || " $* " == *" ${name#fuzz_} "* ]] || continue
    finds="build/fuzz/finds/$name"
    mkdir -p "$finds/corpus"
    seeds=()
    if [[ -d tests/fuzz/corpus/${name#fuzz_} ]]; then seeds=("tests/fuzz/corpus/${name#fuzz_}"); fi
    edgeproxy_say "$name, $seconds s"
    if "${EDGEPROXY_RUNNER[@]}" "$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -print_funcs=0 \
        -print_final_stats=1 -artifact_prefix="$finds/" "$finds/corpus" "${seeds[@]}" >"$finds/log" 2>&1; then
        grep 'number_of_executed_units' "$finds/log"
        passed=$((passed + 1))
    else
        tail -n 60 "$finds/log"
        failed=$((failed + 1))
    fi
done
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
