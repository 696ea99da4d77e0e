#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bash tests/run.sh [options]

Sets the machine up (packages by apt, Python packages into build/venv), builds, and runs every test: the unit tests and
checks with ctest, then tests/scenario and tests/stack with pytest against the real binary. Run it again at no cost.

  -R NAME           only tests whose name fits: ctest -R NAME, pytest -k NAME
  --preset NAME     which build is tested: release (default), dev, asan, tsan
  --only WHAT       unit, scenario or stack; may be given more than once; scan (testssl.sh against the TLS front, about three
                    minutes) runs only when it is asked for
  --jobs N          unit tests run at the same time (default: the number of cores)
  --differential N  N mutants (3000) and every value of every byte, in the comparison with other parsers: 100000 take
                    about two minutes
  --autobahn        the Autobahn WebSocket suite, through edgeproxy and without, and only what --only names besides: half
                    an hour
  --fuzz SECONDS    only this: every fuzz target for so long, from its corpus; 3600 for an hour each
  --help            this text

The last line is `N passed, N failed, N skipped`; every skip is printed with its reason. Exit 0: all passed; 1: some test
failed or none ran; 2: wrong usage or a failed set-up.
Reports (JUnit) are left in build/PRESET/reports.
HELP
}

preset=release
filter=""
only=()
only_more=()
fuzz_seconds=""
jobs="$(nproc)"
while [[ $# -gt 0 ]]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --autobahn) only_more=(autobahn); shift ;;
        -R | --preset | --only | --jobs | --differential | --fuzz)
            [[ $# -ge 2 ]] || { printf 'run.sh: %s needs a value (see --help)\n' "$1" >&2; exit 2; }
            case $1 in
                -R) filter=$2 ;;
                --preset) preset=$2 ;;
                --only) only+=("$2") ;;
                --jobs) jobs=$2 ;;
                --fuzz) fuzz_seconds=$2 ;;
                --differential) export EDGEPROXY_DIFFERENTIAL=$2 ;;
            esac
            shift 2
            ;;
        *) printf 'run.sh: unknown option %s (see --help)\n' "$1" >&2; exit 2 ;;
    esac
done
[[ ${#only[@]} -gt 0 || ${#only_more[@]} -gt 0 ]] || only=(unit scenario stack)
for what in "${only[@]}"; do
    case $what in
        unit | scenario | stack | scan) ;;
        *) printf 'run.sh: --only takes unit, scenario, stack or scan, not %s\n' "$what" >&2; exit 2 ;;
    esac
done

only+=("${only_more[@]}")

groups=(build demo tests)
if [[ " ${only[*]} " == *" scan "* ]]; then groups+=(scan); fi
case $preset in
    release | dev) ;;
    asan | tsan) groups+=(sanitizers) ;;
    *) printf 'run.sh: --preset takes release, dev, asan or tsan, not %s\n' "$preset" >&2; exit 2 ;;
esac

# shellcheck source=examples/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../examples/setup.sh"
# shellcheck source=tests/support/sanitizers.sh
source "$EDGEPROXY_ROOT/tests/support/sanitizers.sh"
# shellcheck source=tests/support/h2spec.sh
source "$EDGEPROXY_ROOT/tests/support/h2spec.sh"
cd "$EDGEPROXY_ROOT"

if [[ -n $fuzz_seconds ]]; then
    edgeproxy_setup build sanitizers || exit 2
    exec bash tests/fuzz/run.sh "$fuzz_seconds"
fi

edgeproxy_setup "${groups[@]}" || exit 2
if [[ " ${only[*]} " == *" scenario "* ]]; then edgeproxy_h2spec || exit 2; fi
edgeproxy_build "$preset" || exit 2

build="$EDGEPROXY_ROOT/build/$preset"
reports="$build/reports"
mkdir -p "$reports"
rm -f "$reports"/*.xml
files=()
without_report=0
edgeproxy_sanitizers "$preset"
export EDGEPROXY_BIN="$build/edgeproxy" EDGEPROXY_DEMO_WORKER="$build/edgeproxy-demo-worker"

# Runs a test runner under a time limit in minutes; its report tells how it went.
limited() {
    local minutes=$1 foreground=()
    shift
    if [[ -t 0 ]]; then foreground=(--foreground); fi
    timeout "${foreground[@]}" --kill-after=20 "${minutes}m" "${EDGEPROXY_RUNNER[@]}" "$@" || true
}

run_unit() {
    edgeproxy_say "unit tests and checks (ctest, preset $preset)"
    files+=("$reports/unit.xml")
    limited 15 ctest --test-dir "$build" --parallel "$jobs" --output-on-failure --output-junit "$reports/unit.xml" \
        --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
        ${filter:+-R "$filter"}
}

run_pytest() {
    local suite=$1
    [[ -n "$(find "tests/$suite" -name 'test_*.py' -print -quit 2>/dev/null)" ]] || return 0
    edgeproxy_say "tests/$suite (pytest, preset $preset)"
    if [[ -z $EDGEPROXY_PYTHON ]]; then
        printf 'FAILED tests/%s: cannot run without the Python packages\n' "$suite"
        without_report=$((without_report + 1))
        return 0
    fi
    files+=("$reports/$suite.xml")
    limited "$([[ $suite == autobahn ]] && echo 70 || echo 20)" "$EDGEPROXY_PYTHON" -m pytest "tests/$suite" -q -ra \
        -o "faulthandler_timeout=$([[ $suite == scan || $suite == autobahn ]] && echo 3600 || echo 150)" \
        --junitxml="$reports/$suite.xml" ${filter:+-k "$filter"}
}

if [[ " ${only[*]} " == *" autobahn "* ]]; then
    edgeproxy_say "the Autobahn suite, below build/autobahn"
    bash tests/support/autobahn.sh || exit 2
fi
for what in unit scenario stack scan autobahn; do
    [[ " ${only[*]} " == *" $what "* ]] || continue
    if [[ $what == unit ]]; then run_unit; else run_pytest "$what"; fi
done

/usr/bin/python3 tests/support/summary.py --failed "$without_report" "${files[@]}"
