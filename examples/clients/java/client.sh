#!/usr/bin/env bash
# Runs what build.sh has built: ./client.sh HOST:PORT PICTURE PAINTED.png
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
source "$here/classpath.sh"
exec java -cp "$here/classes$classpath" Client "$@"
