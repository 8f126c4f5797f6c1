import type { ServerWritableStream } from '@grpc/grpc-js';

// One message may always go; beyond this many bytes the next waits.
const mostBytesUnderWay = 512 * 1024;

/**
 * Writes messages as fast as the reader takes them: `write` gives a promise where there is no room for another, which
 * resolves when there is. grpc-js itself counts 16 messages, whatever their size; here bytes count too.
 */
export class ResponseWriter {
  readonly #call: ServerWritableStream<Buffer, Buffer>;
  #bytes = 0;
  #messages = 0;
  #wake: () => void = () => undefined;

  constructor(call: ServerWritableStream<Buffer, Buffer>) {
    this.#call = call;
  }

  /** Bytes handed to the transport that it has not sent. */
  get bytesUnderWay(): number {
    return this.#bytes;
  }

  /** @throws `signal.reason`, also while it waits. */
  write(message: Uint8Array, signal: AbortSignal): void | Promise<void> {
    signal.throwIfAborted();
    const buffer = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.#bytes += buffer.length;
    this.#messages += 1;
    this.#call.write(buffer, () => {
      this.#bytes -= buffer.length;
      this.#messages -= 1;
      this.#wake();
    });
    if (this.#hasRoom()) return undefined;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        if (!this.#hasRoom()) return;
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }

  #hasRoom(): boolean {
    return this.#bytes < mostBytesUnderWay && this.#messages < this.#call.writableHighWaterMark;
  }
}
