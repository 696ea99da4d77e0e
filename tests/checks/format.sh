#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that every C++ file is as clang-format 14 would write it. Exit 77 (skip) where it is not installed.
#
#   format.sh ROOT | format.sh --self-test
set -euo pipefail

format=clang-format-14
if ! command -v "$format" >/dev/null; then
    printf '%s is not installed: the format is not checked\n' "$format"
    exit 77
fi

# Prints the files of a tree that are not formatted; fails if there is any, or no file at all.
check() {
    local root=$1 files=()
    mapfile -t files < <(
        find "$root"/config "$root"/tls "$root"/upstream "$root"/proxy "$root"/examples "$root"/tests \
            -name '*.cpp' -o -name '*.hpp' 2>/dev/null | sort
    )
    if [[ ${#files[@]} -eq 0 ]]; then
        printf 'no C++ file below %s\n' "$root"
        return 1
    fi
    "$format" --style=file --dry-run -Werror "${files[@]}" 2>&1 && printf '%d files are formatted\n' "${#files[@]}"
}

if [[ ${1:-} == --self-test ]]; then
    here="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
    scratch="$(mktemp -d)"
    trap 'rm -rf "$scratch"' EXIT
    mkdir "$scratch/config"
    cp "$here/.clang-format" "$scratch"
    printf 'int f();\n' >"$scratch/config/a.cpp"
    check "$scratch" >/dev/null || { printf 'a formatted file was refused\n'; exit 1; }
    printf 'int f( ) ;\n' >"$scratch/config/a.cpp"
    if check "$scratch" >/dev/null; then
        printf 'an unformatted file passed\n'
        exit 1
    fi
    printf 'the check can fail\n'
    exit 0
fi
check "${1:?the root of the tree}"
