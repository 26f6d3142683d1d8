#!/usr/bin/env bash
# Builds the wasmtime command line, the external runtime that tests run modules in, once for this machine.
#
# It is the published crate of the version that rust/wasmtime-shim pins, with the few features the tests need. The result
# lies in the cache that scripts/build-wasmtime.sh uses, keyed by version, toolchain and this script. With --print-path
# it only prints where the program is or would be. Speed of the result matters little, so it is optimised a little only.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${PROPLET_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/proplet}/wasmtime-cli

version=$(sed -n 's/^wasmtime = .*version = "=\([0-9.]*\)".*/\1/p' "$root/rust/wasmtime-shim/Cargo.toml")
toolchain=$(rustc -Vv 2>/dev/null || true)
key=$({ echo "$toolchain $version"; cat "$0"; } | sha256sum | cut -c1-16)
program=$cache/$key/bin/wasmtime

if [ "${1:-}" = --print-path ]; then
  echo "$program"
  exit 0
fi
[ -x "$program" ] && exit 0
if [ -z "$toolchain" ] || [ -z "$version" ]; then
  echo "error: Rust and the pinned Wasmtime version are needed to build the wasmtime command line" >&2
  exit 1
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$program" ] && exit 0
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
CARGO_TARGET_DIR=$staging/target CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_STRIP=true \
  cargo install wasmtime-cli --version "=$version" --locked --no-track --root "$staging" \
    --no-default-features --features run,cranelift,component-model,parallel-compilation
rm -rf "$staging/target" "${cache:?}/$key"
mv "$staging" "$cache/$key"
trap - EXIT
