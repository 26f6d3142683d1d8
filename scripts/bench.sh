#!/usr/bin/env bash
# Runs every benchmark of a build and prints JSON lines; ratios are what counts, machines are noisy.
#
#   scripts/bench.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
exec < /dev/null

build=$(realpath "${1:?usage: $0 BUILD_FOLDER}")
export PROPLET_BIN=$build/bin PROPLET_GUESTS=$build/tests/guests

"$build/bin/layer_bench"
"$build/bin/plain_bench" "$PROPLET_GUESTS/math_reactor.wasm"
/usr/bin/python3 bench/task_bench.py
/usr/bin/python3 bench/chunk_bench.py
