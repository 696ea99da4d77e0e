#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets a Debian 12 machine up for edgeproxy. Users never call this: examples/quickstart.sh and tests/run.sh do, by
# sourcing it. Everything here may be run again at no cost.
#
#   edgeproxy_setup [--no-python] GROUP...   packages of these groups of examples/packages.txt, then the Python packages
#                                            of examples/requirements.txt into build/venv
#   edgeproxy_packages FILE GROUP...         packages only, from another list
#   edgeproxy_build PRESET [TARGET...]       configures once, then builds into build/PRESET
#
# After edgeproxy_setup: EDGEPROXY_PYTHON is the interpreter with the packages, or empty where they could not be had
# (callers then fall back to the demo worker and say so); PATH starts with the unpacked tools (promtool).

EDGEPROXY_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
EDGEPROXY_TOOLS="$EDGEPROXY_ROOT/build/tools"
EDGEPROXY_VENV="$EDGEPROXY_ROOT/build/venv"
EDGEPROXY_PYTHON=""
edgeproxy_apt_updated=no

edgeproxy_say() { printf '==> %s\n' "$*"; }

edgeproxy_fail() {
    printf 'setup failed: %s\n' "$*" >&2
    return 1
}

# edgeproxy_list FILE GROUP...: the lines of these groups, without comments.
edgeproxy_list() {
    local file=$1 group
    shift
    for group in "$@"; do
        grep -qxF "[$group]" "$file" || { edgeproxy_fail "no group [$group] in $file"; return 1; }
        awk -v want="[$group]" '/^\[/ { on = ($0 == want); next } on && !/^#/ && NF' "$file"
    done
}

edgeproxy_installed() {
    [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# Runs a command as root: as it is, or by sudo.
edgeproxy_as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

edgeproxy_apt_update() {
    if [[ $edgeproxy_apt_updated == no ]]; then
        edgeproxy_say "reading Debian's package lists (apt-get update)"
        edgeproxy_as_root apt-get -q -o DPkg::Lock::Timeout=300 update || return 1
        edgeproxy_apt_updated=yes
    fi
}

# True when apt knows every named package, from lists that are at most a day old.
edgeproxy_apt_knows() {
    [[ -n "$(find /var/lib/apt/lists /var/lib/apt/lists/partial -maxdepth 0 -mtime -1 2>/dev/null)" ]] &&
        apt-cache show --no-all-versions "$@" >/dev/null 2>&1
}

edgeproxy_apt_install() {
    edgeproxy_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "$@"
}

edgeproxy_install() {
    if [[ $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
        edgeproxy_fail "$# packages are missing and there is no sudo; as root, run
    apt-get update && apt-get install --no-install-recommends $*"
        return 1
    fi
    edgeproxy_say "installing $# packages: $*"
    edgeproxy_apt_knows "$@" || edgeproxy_apt_update || return 1
    edgeproxy_apt_install "$@" && return 0
    # Lists that changed in between name files that the mirrors no longer have: read them, unless that was just done.
    [[ $edgeproxy_apt_updated == no ]] && edgeproxy_apt_update && edgeproxy_apt_install "$@" && return 0
    edgeproxy_fail "apt-get could not install: $*"
}

# Unpacks one package below build/tools; nothing of it runs, is enabled or started.
edgeproxy_unpack() {
    local name=$1 stamp="$EDGEPROXY_TOOLS/.unpacked-$1" fetched status=0
    [[ -e $stamp ]] && return 0
    edgeproxy_installed "$name" && return 0
    edgeproxy_say "unpacking $name below build/tools"
    edgeproxy_apt_knows "$name" || edgeproxy_apt_update || true # old lists may do
    mkdir -p "$EDGEPROXY_TOOLS"
    fetched="$(mktemp -d)"
    (cd "$fetched" && apt-get -q -o APT::Sandbox::User=root download "$name" && dpkg -x ./*.deb "$EDGEPROXY_TOOLS") ||
        status=1
    rm -rf "$fetched"
    [[ $status -eq 0 ]] || return 1
    touch "$stamp"
}

edgeproxy_packages() {
    local lines line missing=() unpack=()
    lines="$(edgeproxy_list "$@")" || return 1
    while read -r line; do
        case $line in
            "") ;;
            "unpack "*) unpack+=("${line#unpack }") ;;
            *) edgeproxy_installed "$line" || missing+=("$line") ;;
        esac
    done <<<"$lines"
    if [[ ${#missing[@]} -gt 0 ]]; then
        edgeproxy_install "${missing[@]}" || return 1
    fi
    for line in "${unpack[@]}"; do
        edgeproxy_unpack "$line" && continue
        [[ ${CI:-} != true ]] || { edgeproxy_fail "apt-get could not fetch: $line"; return 1; }
        printf '==> %s could not be fetched; going on without it\n' "$line" >&2
    done
}

# What build/venv was made from: its place (scripts in it hold absolute paths), the interpreter, the list.
edgeproxy_venv_stamp() {
    printf '%s\n' "$EDGEPROXY_VENV"
    /usr/bin/python3 --version
    sha256sum <"$EDGEPROXY_ROOT/examples/requirements.txt"
}

edgeproxy_venv_install() {
    /usr/bin/python3 -m venv --clear "$EDGEPROXY_VENV" &&
        "$EDGEPROXY_VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --retries 2 \
            --timeout 20 --requirement "$EDGEPROXY_ROOT/examples/requirements.txt"
}

# Sets EDGEPROXY_PYTHON. Never fails: without a network the demo worker takes the place of the Python application.
edgeproxy_python() {
    local stamp_file="$EDGEPROXY_VENV/.stamp" stamp
    stamp="$(edgeproxy_venv_stamp)"
    if [[ "$(cat "$stamp_file" 2>/dev/null)" != "$stamp" ]]; then
        edgeproxy_say "installing the Python packages of examples/requirements.txt into build/venv"
        if ! edgeproxy_venv_install; then
            printf '==> NO PYTHON PACKAGES: pip failed (see above; no network?). Going on without Python.\n' >&2
            return 0
        fi
        printf '%s\n' "$stamp" >"$stamp_file"
    fi
    export EDGEPROXY_PYTHON="$EDGEPROXY_VENV/bin/python"
}

edgeproxy_setup() {
    local python=yes
    if [[ ${1:-} == --no-python ]]; then
        python=no
        shift
    fi
    edgeproxy_packages "$EDGEPROXY_ROOT/examples/packages.txt" "$@" || return 1
    export PATH="$EDGEPROXY_TOOLS/usr/sbin:$EDGEPROXY_TOOLS/usr/bin:$PATH"
    if [[ $python == yes ]]; then
        edgeproxy_python
    fi
}

edgeproxy_build() {
    local preset=$1 dir="$EDGEPROXY_ROOT/build/$1"
    shift
    if [[ ! -e $dir/build.ninja || $EDGEPROXY_ROOT/CMakePresets.json -nt $dir/build.ninja ]]; then
        edgeproxy_say "configuring preset $preset"
        (cd "$EDGEPROXY_ROOT" && cmake --preset "$preset" -Wno-dev) || { edgeproxy_fail "cmake"; return 1; }
    fi
    # Paths relative to the tree let one checkout use what another one compiled.
    export CCACHE_BASEDIR="$EDGEPROXY_ROOT" CCACHE_NOHASHDIR=1
    edgeproxy_say "building ${*:-everything} in build/$preset"
    NINJA_STATUS='[%f/%t, %es] ' cmake --build "$dir" ${1:+--target "$@"} || { edgeproxy_fail "the build"; return 1; }
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    printf 'This file is sourced by examples/quickstart.sh and tests/run.sh; run one of those.\n' >&2
    exit 2
fi
