#!/bin/sh
# Fails when an object compiled for one instruction set defines a weak symbol that does not bear the name of its
# instruction set: the linker keeps one copy of a weak symbol for every caller, and if that is the AVX-512 one,
# older processors meet an illegal instruction.
#   tools/check-weak-symbols.sh [build folder that holds the kernel objects; built in a temporary one if absent]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-}
if [ -z "$build" ]; then
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  cmake -S "$root/cpp" -B "$build" >/dev/null
  cmake --build "$build" --target emu_core -j 2 >/dev/null
fi

checked=0
failed=0
for folder in "$build"/CMakeFiles/emu_kernels_*.dir; do
  [ -d "$folder" ] || continue
  isa=isa_$(basename "$folder" .dir | sed 's/^emu_kernels_//')
  for object in $(find "$folder" -name '*.o' | sort); do
    checked=$((checked + 1))
    # W and V are weak definitions, u is unique global; w and v are undefined and harmless.
    found=$(nm --defined-only "$object" | awk '$(NF-1) ~ /^[WVu]$/ { print $NF }' | grep -v "$isa" || true)
    if [ -n "$found" ]; then
      failed=$((failed + 1))
      echo "check-weak-symbols: $object defines weak symbols without $isa in their names:" >&2
      echo "$found" | c++filt | sed 's/^/  /' >&2
    fi
  done
done
if [ "$checked" -eq 0 ]; then
  echo "check-weak-symbols: FAILED, no kernel objects under $build" >&2
  exit 1
fi
if [ "$failed" -ne 0 ]; then
  echo "check-weak-symbols: FAILED, $failed of $checked kernel objects have foreign weak symbols" >&2
  exit 1
fi
echo "check-weak-symbols: passed, $checked kernel objects"
