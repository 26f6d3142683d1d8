#!/usr/bin/env bash
# Checks what this project needs from the machine and installs the Debian packages that are missing.
#
#   scripts/install-packages.sh build|demo|test|checks|bench|soak ...
#
# Installs nothing when nothing is missing, so that it costs a fraction of a second on the second run. Needs root or
# sudo only for the installation itself. Reads nothing from stdin.
set -euo pipefail

readonly rust_minimum=1.95
readonly -A packages=(
  [build]="g++ cmake ninja-build make git pkg-config ccache ca-certificates
           libmosquitto-dev libcurl4-openssl-dev libssl-dev libboost-json1.81-dev libspdlog-dev libfmt-dev
           libcli11-dev libtomlplusplus-dev libexpected-dev libcpp-httplib-dev prometheus-cpp-dev zlib1g-dev
           libseccomp-dev libzstd-dev"
  [demo]="binutils clang lld wasi-libc libclang-rt-14-dev-wasm32 mosquitto docker-registry"
  [test]="libgtest-dev libgmock-dev mosquitto mosquitto-clients docker-registry skopeo jose openssl apache2-utils
          wabt clang lld wasi-libc libclang-rt-14-dev-wasm32 libc++-14-dev-wasm32 libc++abi-14-dev-wasm32
          nodejs npm python3-pip unzip python3 python3-pytest python3-paho-mqtt python3-cryptography"
  [checks]="clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev python3"
  [soak]="mosquitto-clients python3-pytest"
  [bench]="mosquitto mosquitto-clients docker-registry wabt clang lld wasi-libc libclang-rt-14-dev-wasm32 python3 python3-paho-mqtt"
)

check_rust() {
  # rustup puts cargo here, and a shell that was open before does not know it yet.
  export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
  local found
  found=$(rustc --version 2>/dev/null | awk '{print $2}') || true
  if [ -n "$found" ] && printf '%s\n%s\n' "$rust_minimum" "$found" | sort -V -C && command -v cargo >/dev/null; then
    return
  fi
  cat >&2 <<EOF
error: Rust $rust_minimum or newer is needed to build Wasmtime; found: ${found:-none}. Debian has no such package. Install it with:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal
EOF
  exit 1
}

# Sets `as_root` to the words that run a command as root, or explains what is missing.
find_root() {
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "error: installing packages needs root, and there is no sudo. Run as root:" >&2
      echo "  apt-get install --no-install-recommends $*" >&2
      exit 1
    }
    as_root=(sudo)
  fi
}

is_installed() {
  # Node.js from elsewhere brings its own npm, and Debian's would not go with it.
  if [ "$1" = npm ] && command -v npm >/dev/null; then return; fi
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

[ $# -gt 0 ] || { echo "usage: $0 build|demo|test|checks|bench|soak ..." >&2; exit 2; }
check_rust

missing=()
for group in "$@"; do
  for package in ${packages[$group]:?unknown group $group}; do
    is_installed "$package" || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

command -v apt-get >/dev/null || {
  echo "error: this is not Debian; install the equivalents of: ${missing[*]}" >&2
  exit 1
}
find_root "${missing[@]}"
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
  apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@" >/dev/null' sh "${missing[@]}" < /dev/null
