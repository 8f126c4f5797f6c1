#!/usr/bin/env bash
# Generates C++ code from proto/ into generated/ and builds ./client.
# Debian: apt-get install g++ pkg-config libgrpc++-dev protobuf-compiler protobuf-compiler-grpc
set -euo pipefail
cd "$(dirname "$0")"
proto=../../../proto
mkdir -p generated
protoc -I "$proto" --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" --cpp_out=generated --grpc_out=generated \
  emu/v1/{content,options,generation_event,generation_service}.proto
"${CXX:-g++}" -std=c++17 -O1 -Igenerated client.cc generated/emu/v1/*.cc -o client \
  $(pkg-config --cflags --libs grpc++ protobuf)
