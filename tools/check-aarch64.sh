#!/bin/sh
# Compiles every kernel file for 64-bit Arm at the portable level (NEON through the vector extensions), with
# warnings as errors. It proves that the sources are portable, not that the results are right: nothing runs.
#   tools/check-aarch64.sh
# Needs aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu) or the compiler that AARCH64_CXX names; says so and
# ends with 77 where it is missing.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
compiler=${AARCH64_CXX:-aarch64-linux-gnu-g++}
if ! command -v "$compiler" >/dev/null; then
  echo "check-aarch64: SKIPPED, $compiler is not here (apt-get install g++-aarch64-linux-gnu, or set AARCH64_CXX)" >&2
  exit 77
fi

object=$(mktemp)
trap 'rm -f "$object"' EXIT
count=0
for source in "$root"/cpp/ops/*/*_cpu.cc "$root"/cpp/base/gemm/*_cpu.cc; do
  if ! "$compiler" -std=gnu++20 -I "$root/cpp" -DEMU_ISA=isa_portable -O3 -Wall -Wextra -Werror -Wno-psabi \
    -fno-math-errno -fno-trapping-math -ffp-contract=fast -fvisibility=hidden -c "$source" -o "$object"; then
    echo "check-aarch64: FAILED, $source does not compile for 64-bit Arm" >&2
    exit 1
  fi
  count=$((count + 1))
done
echo "check-aarch64: passed, $count kernel files compile"
