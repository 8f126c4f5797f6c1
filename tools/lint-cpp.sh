#!/bin/sh
# Checks that every C++ file is laid out as .clang-format says. Ends with 0 when all are, 1 when some are not, and 77
# when there is no clang-format of version 14: others lay a few lines out differently.
#   tools/lint-cpp.sh          check
#   tools/lint-cpp.sh --fix    lay the files out
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
formatter=${CLANG_FORMAT:-}
for candidate in clang-format-14 clang-format; do
  if [ -z "$formatter" ] && command -v "$candidate" >/dev/null; then formatter=$candidate; fi
done
if [ -z "$formatter" ]; then
  echo "lint-cpp: SKIPPED, no clang-format here (apt-get install clang-format-14, or set CLANG_FORMAT)" >&2
  exit 77
fi
version=$("$formatter" --version | sed 's/.*version \([0-9]*\).*/\1/')
if [ "$version" != 14 ]; then
  echo "lint-cpp: SKIPPED, $formatter is version $version, 14 is needed (set CLANG_FORMAT to name one)" >&2
  exit 77
fi

list=$(mktemp)
trap 'rm -f "$list"' EXIT
find "$root/cpp" "$root/packages/native/addon" \( -name '*.cc' -o -name '*.h' -o -name '*.cu' \) | sort >"$list"
count=$(wc -l <"$list")
if [ "$count" -eq 0 ]; then
  echo "lint-cpp: FAILED, no C++ files under $root" >&2
  exit 1
fi
if [ "${1:-}" = --fix ]; then
  tr '\n' '\0' <"$list" | xargs -0 "$formatter" -i
  echo "lint-cpp: $count files laid out"
  exit 0
fi
if tr '\n' '\0' <"$list" | xargs -0 "$formatter" --dry-run -Werror; then
  echo "lint-cpp: passed, $count files"
else
  echo "lint-cpp: FAILED, run tools/lint-cpp.sh --fix" >&2
  exit 1
fi
