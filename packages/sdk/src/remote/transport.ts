import { randomUUID } from 'node:crypto';

import {
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  Client,
  credentials,
  Metadata,
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { EmuError } from '@emu/program';

import type { ServerAddress } from './address.js';
import { failureOf, type CallFailure } from './status.js';

/** PEM texts of an encrypted connection. */
export interface TlsOptions {
  /** Certificates of the authorities to trust; by default those that Node trusts. */
  readonly ca?: Uint8Array;
  /** Certificate and key of this client, for a server that asks for one. */
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
}

export interface TransportOptions {
  readonly tls?: TlsOptions | undefined;
  /** Bearer key, sent with every call. */
  readonly apiKey?: string | undefined;
  /** Repeats of a call that the server was never reached with; default 4. */
  readonly retries?: number | undefined;
}

export interface CallSettings {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; none by default. */
  readonly timeout?: number | undefined;
}

/** A call that failed, as the caller of the transport meets it. */
export class TransportError extends Error {
  constructor(readonly failure: CallFailure) {
    super(failure.error.message, { cause: failure.error });
  }
}

const channelOptions: ChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Retries are ours: the library's would also repeat calls that had begun.
  'grpc.enable_retries': 0,
  // A connection that failed is tried again before the repeats of a call are used up, also after a long outage: they take
  // 0.75 s at least.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.max_receive_message_length': 64 * 2 ** 20,
};

/** Calls of one connection: bytes to messages, statuses to errors, repeats where they are safe. */
export class Transport {
  readonly #client: Client;
  readonly #apiKey: string | undefined;
  readonly #retries: number;

  /** @throws EmuError INVALID_OPTION for a key over a connection that is not encrypted and leaves this machine. */
  constructor(address: ServerAddress, { tls, apiKey, retries = 4 }: TransportOptions = {}) {
    this.#client = new Client(address.target, channelCredentials(address, tls), channelOptions);
    this.#apiKey = apiKey;
    this.#retries = retries;
  }

  close(): void {
    this.#client.close();
  }

  /** @throws EmuError with the server's code, SERVER_UNREACHABLE, or `signal.reason`. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    settings: CallSettings = {},
  ): Promise<MessageShape<O>> {
    try {
      return await this.withRetries(() => this.#unaryOnce(method, request, settings), settings.signal);
    } catch (error) {
      throw publicError(error);
    }
  }

  /** Repeats an attempt while it fails with UNAVAILABLE, with growing, jittered waits. */
  async withRetries<T>(attempt: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let failures = 0; ; failures++) {
      signal?.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        const failure = error instanceof TransportError ? error.failure : undefined;
        if (failure?.isUnavailable !== true || failures >= this.#retries) throw error;
        await pause(failure.retryAfter ?? backoff(failures), signal);
      }
    }
  }

  #unaryOnce<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    { signal, timeout }: CallSettings,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const call = this.#client.makeUnaryRequest(
        pathOf(method),
        (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        request,
        this.#metadata(),
        callOptions(timeout),
        (error: ServiceError | null, response?: MessageShape<O>) => {
          signal?.removeEventListener('abort', onAbort);
          if (signal?.aborted === true) reject(signal.reason as Error);
          else if (error !== null) reject(new TransportError(failureOf(error)));
          else if (response === undefined) reject(new EmuError('INTERNAL', '[remote] the answer is empty'));
          else resolve(response);
        },
      );
      const onAbort = (): void => {
        call.cancel();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * Hands the messages of a server stream to `take`, one after another; resolves after the last. One attempt. While a
   * promise of `take` is pending nothing more is read, which slows the server down.
   * @throws TransportError, `signal.reason`, or what `take` threw.
   */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    take: (message: MessageShape<O>) => void | Promise<void>,
    { signal, timeout }: CallSettings = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const call = this.#client.makeServerStreamRequest(
      pathOf(method),
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      request,
      this.#metadata(),
      callOptions(timeout),
    );
    try {
      await takeAll(call, take, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw isServiceError(error) ? new TransportError(failureOf(error)) : error;
    }
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#apiKey !== undefined) metadata.set('authorization', `Bearer ${this.#apiKey}`);
    metadata.set('x-request-id', randomUUID());
    return metadata;
  }
}

/** The error that a caller of the SDK sees. */
export function publicError(error: unknown): unknown {
  return error instanceof TransportError ? error.failure.error : error;
}

/** Milliseconds before repeat `failures` + 1: half to all of 100 ms, 200 ms, 400 ms, at most 5 s. */
export function backoff(failures: number): number {
  return Math.min(100 * 2 ** failures, 5000) * (0.5 + Math.random() / 2);
}

/** Waits, or throws `signal.reason`. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * The messages of a call as events; iterating over them makes several promises more for each. Settles when the last
 * `take` is over, so that nobody is told of a message after the end.
 */
function takeAll<T>(
  call: ClientReadableStream<T>,
  take: (message: T) => void | Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let pending: Promise<void> | undefined;
    let isOver = false;
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      signal?.removeEventListener('abort', onAbort);
      if (pending === undefined) settle();
      else void pending.then(settle, settle);
    };
    const fail = (error: Error): void => {
      end(() => {
        reject(error);
      });
      call.cancel();
    };
    const onAbort = (): void => {
      fail(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    call.on('data', (message: T) => {
      if (isOver) return;
      try {
        const taken = take(message);
        if (taken === undefined) return;
        call.pause();
        pending = taken.then(() => {
          pending = undefined;
          call.resume();
        });
        pending.catch(fail);
      } catch (error) {
        fail(error as Error);
      }
    });
    call.on('error', fail); // also of a call that was cancelled
    call.on('end', () => {
      end(resolve);
    });
  });
}

function channelCredentials(
  { tls: isEncrypted, target }: ServerAddress,
  tls: TlsOptions = {},
): ChannelCredentials {
  const { ca, cert, key } = tls;
  if (!isEncrypted) {
    if (ca === undefined && cert === undefined && key === undefined) return credentials.createInsecure();
    throw new EmuError(
      'INVALID_OPTION',
      `[connect] tls was given for grpc://${target}, which is not encrypted`,
      {
        hint: `Write grpcs://${target}.`,
      },
    );
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new EmuError('INVALID_OPTION', '[connect] tls.cert and tls.key must be given together');
  }
  const pem = (bytes: Uint8Array | undefined): Buffer | null =>
    bytes === undefined ? null : Buffer.from(bytes);
  return credentials.createSsl(pem(ca), pem(key), pem(cert));
}

function callOptions(timeout: number | undefined): CallOptions {
  return timeout === undefined ? {} : { deadline: Date.now() + timeout };
}

function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error;
}
