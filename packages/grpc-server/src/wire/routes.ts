import {
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageShape,
} from '@bufbuild/protobuf';
import { EmuError } from '@emu/program';
import {
  type Metadata,
  type ServiceDefinition,
  type sendUnaryData,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from '@grpc/grpc-js';

import { checkFieldCount } from './field-count.js';
import { callState, refusalMs, type CallState } from './call-state.js';
import { ResponseWriter } from './response-writer.js';
import { callStatus } from './status.js';
import { deadlineExceeded, garbled } from './transport-failure.js';

/** A call with its message, as services see it. */
export interface Incoming extends CallState {
  /** Aborted when the caller is gone or the deadline has passed; the reason is what the call ends with. */
  readonly signal: AbortSignal;
}

/** One method of a service with what runs it. */
export interface Route {
  readonly name: string;
  readonly handle: UntypedHandleCall;
}

/** What every kind of call has. */
interface SurfaceCall {
  readonly metadata: Metadata;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
  off(event: 'cancelled', listener: () => void): unknown;
}

export function unary<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  run: (request: MessageShape<I>, call: Incoming) => Promise<MessageShape<O>> | MessageShape<O>,
): Route {
  const handle = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
    answer(call, done, method.output, async (incoming) => run(parse(method.input, call.request), incoming));
  };
  return { name: method.localName, handle };
}

export function clientStreaming<I extends DescMessage, O extends DescMessage>(
  method: DescMethodClientStreaming<I, O>,
  run: (requests: AsyncIterable<MessageShape<I>>, call: Incoming) => Promise<MessageShape<O>>,
): Route {
  const handle = (call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>): void => {
    answer(call, done, method.output, (incoming) => run(parsed(method.input, call), incoming));
  };
  return { name: method.localName, handle };
}

/** `run` writes encoded messages of the method's output; it gets the request's bytes too. */
export function serverStreaming<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  run: (request: MessageShape<I>, call: Incoming, writer: ResponseWriter, bytes: Uint8Array) => Promise<void>,
): Route {
  const handle = (call: ServerWritableStream<Buffer, Buffer>): void => {
    const { incoming, release } = openCall(call);
    const finish = async (): Promise<void> => {
      try {
        const { request } = call;
        await run(parse(method.input, request), incoming, new ResponseWriter(call), request);
        // What ended the call may have come while the last message went out.
        incoming.signal.throwIfAborted();
        call.end();
      } catch (error) {
        noteFailure(incoming, error);
        call.emit('error', callStatus(error, incoming.requestId));
        resetUnlessTaken(call, incoming);
      } finally {
        release();
      }
    };
    void finish();
  };
  return { name: method.localName, handle };
}

/** The definition of a service for grpc-js; messages stay bytes, so that what cannot be read gets a proper refusal. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  const same = (bytes: Buffer): Buffer => bytes;
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
        responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    ]),
  );
}

function resetUnlessTaken(call: ServerWritableStream<Buffer, Buffer>, { reset }: Incoming): void {
  const timer = setTimeout(reset, refusalMs);
  timer.unref();
  call.once('close', () => {
    clearTimeout(timer);
  });
  call.once('cancelled', () => {
    clearTimeout(timer);
  });
}

function answer<O extends DescMessage>(
  call: ServerUnaryCall<Buffer, Buffer> | ServerReadableStream<Buffer, Buffer>,
  done: sendUnaryData<Buffer>,
  output: O,
  run: (incoming: Incoming) => Promise<MessageShape<O>>,
): void {
  const { incoming, release } = openCall(call);
  const aborted = new Promise<never>((_, reject) => {
    incoming.signal.addEventListener('abort', () => {
      reject(incoming.signal.reason as Error);
    });
  });
  const finish = async (): Promise<void> => {
    try {
      const response = await Promise.race([run(incoming), aborted]);
      done(null, Buffer.from(toBinary(output, response)));
    } catch (error) {
      noteFailure(incoming, error);
      done(callStatus(error, incoming.requestId));
    } finally {
      release();
    }
  };
  void finish();
}

function openCall(call: SurfaceCall): { readonly incoming: Incoming; readonly release: () => void } {
  const state = callState(call.metadata);
  const controller = new AbortController();
  const gone = (): void => {
    controller.abort(new EmuError('CANCELLED', '[call] the caller cancelled the call or is gone'));
  };
  call.once('cancelled', gone);
  state.onStop((failure) => {
    controller.abort(failure);
  });
  // The transport's own timer cannot end a stream whose reader does not read; this one ends the work in any case.
  const left = Number(call.getDeadline()) - Date.now();
  const timer = Number.isFinite(left)
    ? setTimeout(
        () => {
          controller.abort(deadlineExceeded());
        },
        Math.max(0, left),
      )
    : undefined;
  return {
    incoming: { ...state, signal: controller.signal },
    release: () => {
      clearTimeout(timer);
      call.off('cancelled', gone);
    },
  };
}

function noteFailure({ log, requestId, facts }: Incoming, failure: unknown): void {
  const error = EmuError.from(failure);
  facts['reason'] = error.code;
  if (error.code === 'INTERNAL' || error.code === 'KERNEL_FAILURE')
    log.error({ requestId, err: error }, 'the call failed');
}

function parse<I extends DescMessage>(input: I, bytes: Buffer): MessageShape<I> {
  // Bytes of messages shall be plain arrays: a Buffer's slice is no copy.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    checkFieldCount(input, plain);
    return fromBinary(input, plain, { readUnknownFields: false });
  } catch (cause) {
    if (EmuError.isInstance(cause)) throw cause;
    throw garbled(cause instanceof Error ? cause.message : 'it is not protobuf', cause);
  }
}

async function* parsed<I extends DescMessage>(
  input: I,
  call: ServerReadableStream<Buffer, Buffer>,
): AsyncGenerator<MessageShape<I>> {
  for await (const bytes of call) yield parse(input, bytes as Buffer);
}
