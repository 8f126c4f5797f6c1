import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { emuServices, wireFiles } from '@emu/proto';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';

/** Health of the server and of each of its services, told to everybody who asks. */
export class ServerHealth {
  readonly #names = ['', ...emuServices.map(({ typeName }) => typeName)];
  readonly #health = new HealthImplementation(
    Object.fromEntries(this.#names.map((name) => [name, 'NOT_SERVING' as const])),
  );

  addTo(server: Server): void {
    this.#health.addToServer(server);
  }

  /** off: services that are not offered here and stay NOT_SERVING. */
  serving(off: readonly string[]): void {
    for (const name of this.#names)
      this.#health.setStatus(name, off.includes(name) ? 'NOT_SERVING' : 'SERVING');
  }

  notServing(): void {
    for (const name of this.#names) this.#health.setStatus(name, 'NOT_SERVING');
  }
}

/** Reflection, from the descriptors that the code was generated with, health included. */
export function addReflection(server: Server): void {
  const fileDescriptorProtos = wireFiles().map(({ proto }) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, proto)),
  );
  // A package definition of which reflection reads nothing but the descriptors.
  const definition = {
    wire: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos },
  };
  new ReflectionService(
    definition as unknown as ConstructorParameters<typeof ReflectionService>[0],
  ).addToServer(server);
}
