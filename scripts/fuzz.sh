#!/usr/bin/env bash
# Builds the fuzz targets and runs each for some seconds, as many at a time as there are processors.
#
#   scripts/fuzz.sh [SECONDS] [TARGET ...]
#
# Starts from the seeds that fuzz/make-seeds makes. What libFuzzer finds on the way is kept in the build folder; an input that
# breaks a target is left in build/fuzz/findings, with the line that runs it again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift

scripts/configure.sh fuzz
cmake --build --preset fuzz -j "$(nproc)"

build=build/fuzz
mkdir -p "$build/findings" "$build/corpus"
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cd "$build/fuzz" && ls -- *_fuzz); fi

run_target() {
  local target=$1 seconds=$2 build=$3 log
  log=$build/corpus/$target.log
  mkdir -p "$build/corpus/$target"
  if "$build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="$build/findings/$target-" "$build/corpus/$target" "$build/fuzz/seeds/$target" > "$log" 2>&1; then
    printf '  %-24s ok, %s inputs from %s seeds\n' "$target" \
      "$(awk '/stat::number_of_executed_units/ {print $2}' "$log")" "$(find "$build/fuzz/seeds/$target" -type f | wc -l)"
  else
    tail -n 40 "$log"
    printf '  %-24s FAILED; run it again with: %s/fuzz/%s FILE\n' "$target" "$build" "$target"
    return 1
  fi
}
export -f run_target

echo "Fuzzing ${#targets[@]} targets for $seconds s each"
printf '%s\0' "${targets[@]}" | xargs -0 -P "$(nproc)" -I '{}' bash -c 'run_target "$@"' bash '{}' "$seconds" "$build"
