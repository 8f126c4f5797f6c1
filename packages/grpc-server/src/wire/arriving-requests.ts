import { EmuError } from '@emu/program';

/** A call whose message has not come as a whole. */
export interface ArrivingCall {
  /** Ends the call and takes nothing more of it. */
  refuse(failure: EmuError): void;
}

/**
 * Bytes of messages that have begun to arrive, over all calls: the transport holds each until it is whole. Beyond
 * `mostBytes` the calls that began first are ended: requests that are sent in earnest are whole soon, and a caller who
 * begins many and finishes none loses those.
 */
export class ArrivingRequests {
  readonly #mostBytes: number;
  /** In the order in which they began. */
  readonly #calls = new Map<ArrivingCall, number>();
  #bytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  received(call: ArrivingCall, bytes: number): void {
    this.#calls.set(call, (this.#calls.get(call) ?? 0) + bytes);
    this.#bytes += bytes;
    for (const [oldest] of this.#calls) {
      if (this.#bytes <= this.#mostBytes) return;
      this.forget(oldest);
      oldest.refuse(this.#tooMuch());
    }
  }

  /** The message is whole, or the call is over. */
  forget(call: ArrivingCall): void {
    this.#bytes -= this.#calls.get(call) ?? 0;
    this.#calls.delete(call);
  }

  #tooMuch(): EmuError {
    return new EmuError(
      'QUEUE_FULL',
      `[request] more than ${this.#mostBytes} bytes of unfinished requests are here`,
      {
        hint: 'Send a request as a whole, fewer at a time, and large media with MediaService.',
        details: { mostBytes: this.#mostBytes },
      },
    );
  }
}
