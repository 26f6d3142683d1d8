#!/usr/bin/env bash
# The whole path of an encrypted task on this machine, with real servers on free loopback ports: what `make demo` runs.
#
#   scripts/demo.sh BUILD_FOLDER        with bin/proplet and bin/propctl in it
#
# Exits with 0 only if every step, the refusals among them, gives what it should. Everything it starts is stopped and
# everything it writes is removed at the end, also after Ctrl-C or a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
exec < /dev/null

bin=$(realpath "${1:?usage: $0 BUILD_FOLDER}")/bin
[ -x "$bin/proplet" ] && [ -x "$bin/propctl" ] || { echo "error: no proplet and propctl in $bin; run make" >&2; exit 1; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/proplet-demo.XXXXXX") # mode 0700
processes=()

clean_up() {
  local status=$?
  trap '' INT TERM
  if [ $status -ne 0 ] && [ $status -lt 128 ]; then
    printf '\nThe demo FAILED. The last lines of every log:\n' >&2
    tail -n 5 "$folder"/*.log >&2 || true
  fi
  [ ${#processes[@]} -eq 0 ] || kill "${processes[@]}" 2>/dev/null || true
  for _ in $(seq 100); do
    [ ${#processes[@]} -gt 0 ] && kill -0 "${processes[@]}" 2>/dev/null || break
    sleep 0.05
  done
  [ ${#processes[@]} -eq 0 ] || kill -KILL "${processes[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "error: $*" >&2
  exit 1
}

step() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }

start() { # NAME COMMAND...: runs it in the background with its output in NAME.log
  local name=$1
  shift
  "$@" > "$folder/$name.log" 2>&1 &
  processes+=($!)
}

answers() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below 32768, from where the kernel gives ports to outgoing connections: a port that is free stays free.
free_port() {
  local port
  while port=$((10000 + RANDOM % 20000)) && answers "$port"; do :; done
  echo "$port"
}

wait_for() { # WHAT COMMAND...: until the command succeeds
  local what=$1
  shift
  for _ in $(seq 400); do
    "$@" && return
    sleep 0.05
  done
  fail "$what did not come up within 20 s"
}

show() { fold -s -w 96 | sed 's/^/   /; s/ *$//'; }

# Runs propctl, shows the command line as one would type it, and its output.
propctl() {
  local line="propctl $*"
  line=${line//$folder\//}
  echo "\$ $line" | fold -s -w 92 | sed '$!s/ $/ \\/; 1s/^/   /; 1!s/^/       /'
  "$bin/propctl" "$@" > "$folder/out" 2> "$folder/err" || { cat "$folder/out" "$folder/err" >&2; return 1; }
  show < "$folder/out"
}

# Runs propctl, which has to fail with the error code.
refused() {
  local code=$1
  shift
  if "$bin/propctl" "$@" > "$folder/out" 2> "$folder/err"; then fail "this should have been refused with $code"; fi
  grep -q "$code: " "$folder/out" || { cat "$folder/out" "$folder/err" >&2; fail "refused, but not with $code"; }
  grep "$code: " "$folder/out" | show
}

worker() { # ID TEE
  start "worker-$2" env -i PATH="$PATH" HOME="$folder" PROPLET_ENTITY_ID="$1" PROPLET_TEE="$2" \
    PROPLET_MQTT_ADDRESS="$PROPLET_MQTT_ADDRESS" PROPLET_TENANT_ID="$PROPLET_TENANT_ID" \
    PROPLET_CHANNEL_ID="$PROPLET_CHANNEL_ID" PROPLET_API_KEY="$PROPLET_API_KEY" PROPLET_RESULT_FLOOR_MS=0 \
    PROPLET_KBS_URI="http://127.0.0.1:$kbs" PROPLET_METRICS_PORT="$(free_port)" "$bin/proplet"
}

mqtt=$(free_port) registry=$(free_port) kbs=$(free_port)
export HOME=$folder PROPLET_MQTT_ADDRESS=tcp://127.0.0.1:$mqtt PROPLET_TENANT_ID=demo PROPLET_CHANNEL_ID=demo
export PROPLET_ENTITY_ID=laptop PROPLET_API_KEY=demo

echo "An encrypted WebAssembly task, from this machine to a published result. The servers are real, on"
echo "loopback ports; all files are in $folder, which is removed at the end."

step "1. Start an MQTT broker ($mqtt), an OCI registry ($registry) and a key broker ($kbs)"
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$mqtt" > "$folder/mosquitto.conf"
cat > "$folder/registry.yml" <<EOF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $folder/registry}}
http: {addr: "127.0.0.1:$registry"}
EOF
start mosquitto "$(PATH=$PATH:/usr/sbin command -v mosquitto)" -c "$folder/mosquitto.conf"
start registry docker-registry serve "$folder/registry.yml"
start kbs "$bin/propctl" kbs serve --listen "127.0.0.1:$kbs" --state "$folder/kbs" --allow-sample
wait_for mosquitto answers "$mqtt"
wait_for docker-registry answers "$registry"
wait_for "the key broker" answers "$kbs"
echo "   The key broker accepts sample evidence because it was started with --allow-sample."

step "2. Build a guest: examples/add/add.c"
clang --target=wasm32-wasi -O2 -nostdlib -Wl,--no-entry -o "$folder/add.wasm" examples/add/add.c
echo "   add.wasm, $(stat -c %s "$folder/add.wasm") bytes, exports add(i32, i32) -> i32"

step "3. Encrypt it with a new key, give the key to the key broker, push the image"
cd "$folder"
propctl image encrypt add.wasm --push --to "127.0.0.1:$registry/demo/add:enc" --key-id kbs:///default/key/add \
  --kbs "http://127.0.0.1:$kbs" --kbs-admin-key kbs/admin.key
if grep -rqaP '\x00asm' "$folder/registry"; then fail "the registry holds the module in the clear"; fi
echo "   The registry holds ciphertext only: no WebAssembly header in any of its files."

step "4. Start two workers: one with the sample TEE, asked for by name, and one without a TEE"
start workers "$bin/propctl" task watch
worker attested sample
worker untrusted off
wait_for "the worker with a TEE" grep -qs attested "$folder/workers.log"
wait_for "the worker without a TEE" grep -qs untrusted "$folder/workers.log"
echo "   Both have announced themselves over MQTT. The sample TEE proves nothing: it is for demos and tests."

step "5. Run the task: the worker proves itself, gets the key, decrypts in memory, runs, publishes"
task=(task start --encrypted --invoke add --input 2 --input 40 --wait --timeout 30)
propctl "${task[@]}" --worker attested --image "127.0.0.1:$registry/demo/add:enc"
grep -q '^result  42$' "$folder/out" || fail "the result should have been 42"

step "6. The same task on the worker without a TEE is refused"
refused TEE_UNAVAILABLE "${task[@]}" --worker untrusted --image "127.0.0.1:$registry/demo/add:enc"

step "7. A task marked encrypted whose image is plain is refused"
"$bin/propctl" image push add.wasm --to "127.0.0.1:$registry/demo/add:plain" > out 2> err || { cat err >&2; exit 1; }
refused NOT_ENCRYPTED "${task[@]}" --worker attested --image "127.0.0.1:$registry/demo/add:plain"

printf '\nAll seven steps did what they should. Everything has been stopped and removed.\n'
echo "Next: docs/tutorial.md does this by hand; \`make test\` runs every test."
