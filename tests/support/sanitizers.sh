# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# How programs of the presets asan, tsan and fuzz are run; sourced by tests/run.sh and .ci/run.
#
#   edgeproxy_sanitizers PRESET   exports the run-time options and sets EDGEPROXY_RUNNER, the words to put before a command
#
# The run-time library of clang 14 dies at start where the kernel spreads mappings over more than 28 bits; such programs
# are run without address randomisation.

EDGEPROXY_RUNNER=()

edgeproxy_sanitizers() {
    case $1 in
        asan | tsan | fuzz) ;;
        *) return 0 ;;
    esac
    export ASAN_OPTIONS="${ASAN_OPTIONS:-abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1}"
    export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
    export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}"
    local bits=0
    if [[ -r /proc/sys/vm/mmap_rnd_bits ]]; then
        bits="$(cat /proc/sys/vm/mmap_rnd_bits)"
    fi
    if [[ $bits -gt 28 ]] && setarch "$(uname -m)" -R true 2>/dev/null; then
        # shellcheck disable=SC2034  # read by whoever sources this file
        EDGEPROXY_RUNNER=(setarch "$(uname -m)" -R)
    fi
}
