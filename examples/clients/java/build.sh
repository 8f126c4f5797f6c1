#!/usr/bin/env bash
# Generates Java code from proto/ into generated/ and compiles it with Client.java into classes/.
# Debian: apt-get install default-jdk-headless protobuf-compiler protobuf-compiler-grpc-java-plugin \
#   libgrpc-java libprotobuf-java libnetty-java libperfmark-java
set -euo pipefail
cd "$(dirname "$0")"
proto=../../../proto
source ./classpath.sh
rm -rf generated classes
mkdir -p generated classes
protoc -I "$proto" --plugin=protoc-gen-grpc-java="$(command -v grpc_java_plugin)" \
  --java_out=generated --grpc-java_out=generated \
  emu/v1/{content,options,generation_event,generation_service}.proto
find generated -name '*.java' > classes/sources.txt
javac -nowarn -cp "$classpath" -d classes @classes/sources.txt Client.java
