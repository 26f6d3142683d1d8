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

# The tests run modules in it.
if [ "$preset" = dev ] || [ "$preset" = tsan ]; then
  program=$(scripts/build-wasmtime-cli.sh --print-path)
  if [ ! -e "$program" ]; then
    echo "Building the wasmtime command line with cargo into ${program%/*/*/*}, for the tests of external runtimes: once"
    echo "for this machine, up to 10 minutes on two cores."
    scripts/build-wasmtime-cli.sh < /dev/null
  fi
fi

echo "Configuring and building in build/$preset; the first time takes a few minutes."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset "$preset" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
