# The jars of Debian's packages that a gRPC client needs.
jars=(protobuf grpc-api grpc-context grpc-core grpc-netty grpc-protobuf grpc-protobuf-lite grpc-stub guava failureaccess
  netty-buffer netty-codec netty-codec-http netty-codec-http2 netty-codec-socks netty-common netty-handler
  netty-handler-proxy netty-resolver netty-transport netty-transport-native-unix-common perfmark-api
  geronimo-annotation-1.3-spec)
classpath=""
for jar in "${jars[@]}"; do
  [ -e "/usr/share/java/$jar.jar" ] && classpath="$classpath:/usr/share/java/$jar.jar"
done
