#!/bin/sh
# Fuzzes the reader of program texts and the planners of all ops for a bounded time.
#   tools/fuzz-programs.sh [seconds, 60 by default] [build folder]
# Needs clang and its libFuzzer; says so and ends with 77 where they are missing. CLANG names another compiler.
set -eu
seconds=${1:-60}
root=$(cd "$(dirname "$0")/.." && pwd)
build=${2:-${TMPDIR:-/tmp}/emu-fuzz}
clang=${CLANG:-}
for candidate in clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14; do
  if [ -z "$clang" ] && command -v "$candidate" >/dev/null; then clang=$candidate; fi
done
if [ -z "$clang" ]; then
  echo "fuzz-programs: SKIPPED, no clang++ here (set CLANG to name one)" >&2
  exit 77
fi
trial=$(mktemp)
trap 'rm -f "$trial"' EXIT
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  "$clang" -fsanitize=fuzzer -x c++ - -o "$trial" 2>/dev/null || {
  echo "fuzz-programs: SKIPPED, $clang has no libFuzzer (Debian: libclang-rt-14-dev)" >&2
  exit 77
}

cmake -S "$root/cpp" -B "$build" -DCMAKE_CXX_COMPILER="$clang" -DEMU_FUZZ=ON >/dev/null
cmake --build "$build" --target program_text_fuzz -j 2 >/dev/null

seeds=$root/testdata/programs
printed=$root/packages/sdk/src/models/__snapshots__
mkdir -p "$build/corpus"
# Every seed by itself first: a seed that fails names its file.
"$build/program_text_fuzz" "$seeds"/*.txt "$printed"/*.txt >/dev/null 2>"$build/seeds.log" || {
  cat "$build/seeds.log" >&2
  echo "fuzz-programs: FAILED, a seed above does" >&2
  exit 1
}
"$build/program_text_fuzz" "$build/corpus" "$seeds" "$printed" -max_total_time="$seconds" -max_len=16384 \
  -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$build/" -print_final_stats=1 >"$build/fuzz.log" 2>&1 || {
  tail -60 "$build/fuzz.log" >&2
  echo "fuzz-programs: FAILED, the input is kept under $build" >&2
  exit 1
}
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz.log")
echo "fuzz-programs: passed, $runs programs in $seconds s"
