#!/usr/bin/env bash
# Generates Python code from proto/ into generated/.
# Debian: apt-get install python3-grpcio python3-protobuf protobuf-compiler protobuf-compiler-grpc
set -euo pipefail
cd "$(dirname "$0")"
proto=../../../proto
mkdir -p generated
protoc -I "$proto" --plugin=protoc-gen-grpc="$(command -v grpc_python_plugin)" \
  --python_out=generated --grpc_out=generated \
  emu/v1/{content,options,generation_event,generation_service}.proto
