#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

usage() {
    cat <<'HELP'
Usage: bash examples/quickstart.sh [--check] [--no-python]

Sets the machine up (packages by apt, Python packages into build/venv), builds edgeproxy, starts it on
https://localhost:8443 in front of four FastAPI workers, and proves with a table what it does. Run it again at no cost.

  --check       end after the table, with a clean stop; without it edgeproxy stays up until Ctrl-C
  --no-python   take the demo worker (examples/demo_worker.cpp) instead of FastAPI
  --help        this text

Exit 0: every line of the table is a tick; 1: one is not; 2: wrong usage or a failed set-up.
HELP
}

check=()
python=()
for option in "$@"; do
    case $option in
        --check) check=(--check) ;;
        --no-python) python=(--no-python) ;;
        --help | -h) usage; exit 0 ;;
        *) printf 'quickstart.sh: unknown option %s (see --help)\n' "$option" >&2; exit 2 ;;
    esac
done

# shellcheck source=examples/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$EDGEPROXY_ROOT"

edgeproxy_setup "${python[@]}" build demo || exit 2
edgeproxy_build release edgeproxy edgeproxy-demo-worker || exit 2

interpreter="$EDGEPROXY_PYTHON"
stack=examples/fastapi/stack.yaml
if [[ -n $EDGEPROXY_PYTHON ]]; then
    export PATH="$EDGEPROXY_VENV/bin:$PATH"
else
    [[ ${#python[@]} -gt 0 ]] || edgeproxy_say "no Python packages here: the demo worker stands in for FastAPI"
    interpreter=/usr/bin/python3
    stack=examples/demo/stack.yaml
fi

# smoke.py starts edgeproxy itself, so that it can also show that nothing is left after the stop.
exec "$interpreter" examples/smoke.py --edgeproxy build/release/edgeproxy --stack "$stack" "${check[@]}"
