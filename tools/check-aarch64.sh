#!/bin/sh
# Compiles every kernel file for 64-bit Arm at the portable level (NEON through the vector extensions), with
# warnings as errors. It proves that the sources are portable, not that the results are right: nothing runs.
#   tools/check-aarch64.sh
# Needs aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu) or the compiler that AARCH64_CXX names; says so and
# leaves with 0 where it is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${AARCH64_CXX:-aarch64-linux-gnu-g++}
if ! command -v "$compiler" >/dev/null; then
  echo "check-aarch64: SKIPPED, $compiler is not here (apt-get install g++-aarch64-linux-gnu, or set AARCH64_CXX)" >&2
  exit 0
fi

object=$(mktemp)
trap 'rm -f "$object"' EXIT
count=0
for source in "$root"/cpp/ops/*/*_cpu.cc "$root"/cpp/base/gemm/*_cpu.cc; do
  "$compiler" -std=gnu++20 -I "$root/cpp" -DEMU_ISA=isa_portable -O3 -Wall -Wextra -Werror -Wno-psabi \
    -fno-math-errno -fno-trapping-math -ffp-contract=fast -fvisibility=hidden -c "$source" -o "$object"
  count=$((count + 1))
done
echo "check-aarch64: $count kernel files compile"
