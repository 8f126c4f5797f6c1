import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from 'node:http2';

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { GenerateRequestSchema, GenerateResponseSchema, GenerationService } from '@emu/proto';
import { EmuError, parseAddress } from '@emu/sdk';

import { samplingOf, type TextRequest, type TextTarget } from './text-load.js';

const { generate } = GenerationService.method;
const path = `/${generate.parent.typeName}/${generate.name}`;
const { sequence, text, finished } = GenerateResponseSchema.field;

/**
 * Texts of a server, asked for with no more than HTTP/2 itself: what a client library takes of the cores would be
 * measured as if the server took it, and that is more than the server adds to its engine.
 */
export class ServerTarget implements TextTarget {
  readonly #authority: string;
  readonly #headers: Readonly<Record<string, string>>;
  #session: ClientHttp2Session;

  /** @throws EmuError INVALID_OPTION for what is no address. */
  constructor(address: string, apiKey: string | undefined) {
    const { target, tls } = parseAddress(address);
    this.#authority = `${tls ? 'https' : 'http'}://${target}`;
    this.#headers = {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    };
    this.#session = this.#connect();
  }

  close(): void {
    this.#session.close();
  }

  answer(request: TextRequest, onText: () => void, signal: AbortSignal): Promise<number | undefined> {
    if (this.#session.closed || this.#session.destroyed) this.#session = this.#connect();
    const stream = this.#session.request(this.#headers);
    stream.end(framed(requestBytes(request)));
    return new Promise((resolve, reject) => {
      const messages = new MessageReader();
      let status: unknown;
      let tokens: number | undefined;
      const onHeaders = (headers: IncomingHttpHeaders): void => {
        status = headers['grpc-status'] ?? status;
      };
      const onAbort = (): void => {
        stream.close(constants.NGHTTP2_CANCEL);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      stream.on('response', onHeaders); // a call that is refused has its status here
      stream.on('trailers', onHeaders);
      stream.on('data', (chunk: Buffer) => {
        for (const message of messages.take(chunk)) {
          const event = eventOf(message);
          if (event === text.number) onText();
          else if (event === finished.number) tokens = tokensOf(message);
        }
      });
      stream.on('error', () => undefined); // close comes after it
      stream.on('close', () => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) resolve(undefined);
        else if (status === '0' && tokens !== undefined) resolve(tokens);
        else
          reject(new EmuError('INTERNAL', `[bench serve] a call ended with gRPC status ${String(status)}`));
      });
    });
  }

  #connect(): ClientHttp2Session {
    const session = connect(this.#authority);
    session.on('error', () => undefined); // its streams end with it
    return session;
  }
}

function requestBytes({ prompt, tokens, seed }: TextRequest): Uint8Array {
  const request = create(GenerateRequestSchema, {
    input: { case: 'prompt', value: { parts: [{ data: { case: 'text', value: prompt } }] } },
    sampling: samplingOf(tokens),
    seed: BigInt(seed),
  });
  return toBinary(GenerateRequestSchema, request);
}

/** Bytes before each message of a call: whether it is compressed, and its length. */
const prefixBytes = 5;

function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(prefixBytes + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, prefixBytes);
  return frame;
}

/** Cuts what comes of a call into its messages. */
class MessageReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that are whole now. */
  take(chunk: Buffer): readonly Uint8Array[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Uint8Array[] = [];
    let at = 0;
    while (bytes.length - at >= prefixBytes) {
      const end = at + prefixBytes + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      messages.push(bytes.subarray(at + prefixBytes, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
    return messages;
  }
}

/** The number of the event's field; 0 for a message without one. The event itself is not decoded. */
function eventOf(message: Uint8Array): number {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field !== sequence.number) return field;
    reader.skip(wireType);
  }
  return 0;
}

function tokensOf(message: Uint8Array): number | undefined {
  const { event } = fromBinary(GenerateResponseSchema, message);
  return event.case === 'finished' ? event.value.usage?.outputTokenCount : undefined;
}
