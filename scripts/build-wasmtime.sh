#!/usr/bin/env bash
# Builds rust/wasmtime-shim (Wasmtime's C API as a static library) once for this machine.
#
# The result lies in a cache outside the checkout, keyed by the lock file, the shim's sources and the toolchain, so
# that a second clone reuses it. With --print-path it only prints where the result is or would be.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
shim=$root/rust/wasmtime-shim
cache=${PROPLET_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/proplet}/wasmtime-shim

toolchain=$(rustc -Vv 2>/dev/null || true)
dependencies=$({ echo "$toolchain"; cat "$shim/Cargo.lock"; } | sha256sum | cut -c1-16)
key=$({ echo "$dependencies"; cat "$shim/Cargo.toml" "$shim/build.rs" "$shim"/src/*.rs "$0"; } | sha256sum | cut -c1-16)
result=$cache/$key

if [ "${1:-}" = --print-path ]; then
  echo "$result"
  exit 0
fi
[ -e "$result/lib/libwasmtime_shim.a" ] && exit 0

if [ -z "$toolchain" ]; then
  echo "error: Rust 1.95 or newer is needed to build Wasmtime. Install it with:" >&2
  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
  exit 1
fi

# Cargo's own folder is shared by all keys with the same dependencies: a change of the shim alone builds in seconds.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -e "$result/lib/libwasmtime_shim.a" ] && exit 0
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
export CARGO_TARGET_DIR=$cache/cargo-$dependencies WTX_HEADER_OUT=$staging/include
cargo build --release --locked --manifest-path "$shim/Cargo.toml"
mkdir -p "$staging/lib"
cp "$CARGO_TARGET_DIR/release/libwasmtime_shim.a" "$staging/lib/"
rm -rf "$result"
mv "$staging" "$result"
trap - EXIT
