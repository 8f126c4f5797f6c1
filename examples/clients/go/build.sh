#!/usr/bin/env bash
# Generates Go code from proto/ into generated/ and builds ./client.
# Debian: apt-get install golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev protoc-gen-go \
#   golang-google-protobuf-dev protoc-gen-go-grpc protobuf-compiler
set -euo pipefail
cd "$(dirname "$0")"
proto=../../../proto
mkdir -p generated/src
protoc -I "$proto" --go_out=generated/src --go-grpc_out=generated/src \
  emu/v1/{content,options,generation_event,generation_service}.proto
GO111MODULE=off GOFLAGS=-buildvcs=false GOPATH="$PWD/generated:/usr/share/gocode" go build -o client client.go
