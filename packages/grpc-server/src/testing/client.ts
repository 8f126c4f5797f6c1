import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  ResourceInfoSchema,
  StatusSchema,
  type BadRequest,
  type ErrorInfo,
  type ResourceInfo,
  type RetryInfo,
} from '@emu/proto';
import {
  Client,
  credentials,
  Metadata,
  status as grpcStatus,
  type CallOptions,
  type ChannelCredentials,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';

/** How a call failed, with its details read. */
export class RpcFailure extends Error {
  readonly code: string;
  readonly info: ErrorInfo | undefined;
  readonly badRequest: BadRequest | undefined;
  readonly retry: RetryInfo | undefined;
  readonly resource: ResourceInfo | undefined;
  readonly detailBytes: number;

  constructor({ code, details, metadata }: ServiceError) {
    super(details);
    this.code = grpcStatus[code];
    const [bytes] = metadata.get('grpc-status-details-bin');
    const packed = Buffer.isBuffer(bytes) ? fromBinary(StatusSchema, bytes).details : [];
    const find = <D extends DescMessage>(schema: D): MessageShape<D> | undefined =>
      packed.map((any) => anyUnpack(any, schema)).find((message) => message !== undefined);
    this.info = find(ErrorInfoSchema);
    this.badRequest = find(BadRequestSchema);
    this.retry = find(RetryInfoSchema);
    this.resource = find(ResourceInfoSchema);
    this.detailBytes = Buffer.isBuffer(bytes) ? bytes.length : 0;
  }
}

const same = (bytes: Buffer): Buffer => bytes;
const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/** A plain grpc-js client of the wire. Requests have any shape: what a type would forbid is what is tested. */
export class TestClient {
  readonly channel: Client;
  readonly #metadata = new Metadata();

  constructor(
    address: string,
    options: {
      readonly key?: string;
      readonly credentials?: ChannelCredentials;
      readonly channel?: object;
    } = {},
  ) {
    const unlimited = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
    this.channel = new Client(address, options.credentials ?? credentials.createInsecure(), {
      ...unlimited,
      'grpc.use_local_subchannel_pool': 1,
      ...options.channel,
    });
    if (options.key !== undefined) this.#metadata.set('authorization', `Bearer ${options.key}`);
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: object,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const bytes = Buffer.from(toBinary(method.input, create(method.input, request as MessageInitShape<I>)));
    return this.unaryBytes(method, bytes, options);
  }

  /** A unary call with any bytes for a message. */
  unaryBytes<O extends DescMessage>(
    method: DescMethodUnary<DescMessage, O>,
    bytes: Buffer,
    options: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      this.channel.makeUnaryRequest(
        pathOf(method),
        same,
        same,
        bytes,
        this.#metadata,
        options,
        (error, response) => {
          if (error !== null) reject(new RpcFailure(error));
          else resolve(fromBinary(method.output, response ?? Buffer.alloc(0)));
        },
      );
    });
  }

  upload<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    requests: readonly object[],
  ): Promise<MessageShape<O>> {
    const { send, answer } = this.openUpload(method);
    send(requests);
    return answer;
  }

  /** An upload that goes on until something is sent. */
  openUpload<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
  ): { readonly send: (requests: readonly object[]) => void; readonly answer: Promise<MessageShape<O>> } {
    let send: (requests: readonly object[]) => void = () => undefined;
    const answer = new Promise<MessageShape<O>>((resolve, reject) => {
      const call = this.channel.makeClientStreamRequest(
        pathOf(method),
        same,
        same,
        this.#metadata,
        (error, response) => {
          if (error !== null) reject(new RpcFailure(error));
          else resolve(fromBinary(method.output, response ?? Buffer.alloc(0)));
        },
      );
      send = (requests) => {
        for (const request of requests) {
          const message = create(method.input, request as MessageInitShape<I>);
          call.write(Buffer.from(toBinary(method.input, message)));
        }
        call.end();
      };
    });
    return { send, answer };
  }

  /** Messages of a stream as they come; leaving the loop cancels. @throws RpcFailure. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: object,
    options: CallOptions = {},
  ): AsyncGenerator<MessageShape<O>> {
    const call = this.open(method, request, options);
    try {
      for await (const bytes of call) yield fromBinary(method.output, bytes as Buffer);
    } catch (error) {
      throw new RpcFailure(error as ServiceError);
    } finally {
      call.cancel();
    }
  }

  /** All messages of a stream. */
  async collect<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: object,
    options: CallOptions = {},
  ): Promise<readonly MessageShape<O>[]> {
    const messages: MessageShape<O>[] = [];
    for await (const message of this.stream(method, request, options)) messages.push(message);
    return messages;
  }

  /** A stream in the hands of grpc-js, to be read or not. */
  open<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: object,
    options: CallOptions = {},
  ): ClientReadableStream<Buffer> {
    return this.openBytes(
      method,
      Buffer.from(toBinary(method.input, create(method.input, request as MessageInitShape<I>))),
      options,
    );
  }

  openBytes(method: DescMethod, bytes: Buffer, options: CallOptions = {}): ClientReadableStream<Buffer> {
    return this.channel.makeServerStreamRequest(pathOf(method), same, same, bytes, this.#metadata, options);
  }

  close(): void {
    this.channel.close();
  }
}

/** The failure of a call that must fail. */
export async function failureOf(call: Promise<unknown>): Promise<RpcFailure> {
  try {
    await call;
  } catch (error) {
    if (error instanceof RpcFailure) return error;
    throw error;
  }
  throw new Error('the call did not fail');
}
