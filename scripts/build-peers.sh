#!/usr/bin/env bash
# Builds the programs of tests/peers: other people's implementations, at pinned versions, as the other side of tests.
#
# They are in Go, and newer than Debian's; the compiler is that of scripts/guest-toolchains.sh. go.sum pins every module.
# The results lie in a cache outside the checkout. With --print-path it only prints where.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
source=$root/tests/peers/copier
cache=${PROPLET_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/proplet}/peers
result=$cache/$({ uname -m; cat "$source"/go.mod "$source"/go.sum "$source"/*.go; } | sha256sum | cut -c1-16)

if [ "${1:-}" = --print-path ]; then
  echo "$result"
  exit 0
fi
[ -x "$result/copier" ] && exit 0

"$root/scripts/guest-toolchains.sh"
go=$("$root/scripts/guest-toolchains.sh" --print-path)/go/bin/go
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$result/copier" ] && exit 0
staging=$(mktemp -d "$cache/staging.XXXXXX")
trap 'rm -rf "$staging"' EXIT
# Without C libraries, and without the transports that need them.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly
tags=containers_image_openpgp,containers_image_docker_daemon_stub,containers_image_storage_stub,exclude_graphdriver_btrfs
(cd "$source" && "$go" build -trimpath -buildvcs=false -tags "$tags" -o "$staging/copier" .)
chmod 755 "$staging"
mv "$staging" "$result"
trap - EXIT
