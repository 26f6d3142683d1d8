#!/usr/bin/env bash
# Configures a CMake preset, after building Wasmtime if this machine has not built it yet. Says what takes long.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1

shim=$(scripts/build-wasmtime.sh --print-path)
if [ ! -e "$shim/lib/libwasmtime_shim.a" ]; then
  echo "Building Wasmtime with cargo into ${shim%/*}. This is the one slow step, up to 15 minutes on two cores;"
  echo "later builds and other clones on this machine reuse it."
  scripts/build-wasmtime.sh < /dev/null
fi

echo "Configuring and building in build/$preset; the first time takes a few minutes."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset "$preset" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
