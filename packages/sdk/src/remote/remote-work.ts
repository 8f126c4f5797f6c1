import { EmuError, type FloatTensor } from '@emu/program';

import type { GenerationEvent, GenerationResult } from '../generate/events.js';
import type { GenerationWork } from '../generate/generation-stream.js';
import type { NumberedPart } from './generation-part.js';
import { Received } from './received.js';
import { backoff, pause, publicError, TransportError, type Transport } from './transport.js';

/** A generation as its calls: from the start, again from an event on, and to stop it. */
export interface RemoteCalls {
  begin(signal: AbortSignal): Promise<AsyncIterable<NumberedPart>>;
  resume(generationId: string, after: bigint, signal: AbortSignal): AsyncIterable<NumberedPart>;
  cancel(generationId: string): Promise<unknown>;
}

/** What the caller asked for that the answer depends on. */
export interface RemoteWorkOptions {
  readonly tellsTokens: boolean;
  readonly embeddings: FloatTensor | undefined;
  /** Milliseconds for which the server keeps a lost stream; 0 is none. */
  readonly retention: number;
}

/** Attempts to take up a lost stream without a new event in between. */
const mostAttempts = 6;

/**
 * A generation that a server runs. A call that never reached the server is repeated; a stream that was lost half way
 * is taken up after its last event, so the events are those of an unbroken stream.
 */
export class RemoteWork implements GenerationWork {
  readonly #received: Received;
  #generationId: string | undefined;
  #last = 0n;

  constructor(
    readonly transport: Transport,
    readonly calls: RemoteCalls,
    readonly options: RemoteWorkOptions,
  ) {
    this.#received = new Received(options.tellsTokens, options.embeddings);
  }

  async run(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<GenerationResult> {
    try {
      await this.transport.withRetries(() => this.#begin(emit, signal), signal);
      if (!this.#received.isFinished)
        throw new EmuError('SERVER_UNREACHABLE', '[remote] the stream ended before the generation did');
      return this.#received.result();
    } catch (error) {
      if (signal.aborted) this.#stopAtServer();
      throw publicError(error);
    }
  }

  partial(): GenerationResult {
    return this.#received.result('aborted');
  }

  /** The stream, taken up again as often as it is lost. Fails as a whole only before its first event. */
  async #begin(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<void> {
    let stream = await this.calls.begin(signal);
    for (let attempts = 0; ; attempts++) {
      const before = this.#last;
      try {
        await this.#read(stream, emit);
        return;
      } catch (error) {
        if (this.#last > before) attempts = 0;
        const failure = this.#lossOf(error, attempts);
        if (failure === undefined || this.#generationId === undefined) throw this.#asFinal(error);
        await pause(failure.retryAfter ?? backoff(attempts), signal);
        stream = this.calls.resume(this.#generationId, this.#last, signal);
      }
    }
  }

  async #read(stream: AsyncIterable<NumberedPart>, emit: (event: GenerationEvent) => void): Promise<void> {
    for await (const { sequence, event } of stream) {
      if (sequence <= this.#last) continue; // told before the stream was lost
      this.#last = sequence;
      if (event.case === 'started') this.#generationId = event.value.generationId;
      for (const told of await this.#received.take(event)) emit(told);
    }
  }

  /** The failure of a stream that can be taken up again. */
  #lossOf(error: unknown, attempts: number): TransportError['failure'] | undefined {
    if (!(error instanceof TransportError) || this.options.retention === 0) return undefined;
    return error.failure.isUnavailable && attempts < mostAttempts ? error.failure : undefined;
  }

  /** After the first event a repeat would tell everything twice: whoever repeats must see another kind of error. */
  #asFinal(error: unknown): unknown {
    return this.#last > 0n ? publicError(error) : error;
  }

  /** A server that keeps lost streams does not stop by itself. */
  #stopAtServer(): void {
    if (this.options.retention === 0 || this.#generationId === undefined) return;
    this.calls.cancel(this.#generationId).catch(() => undefined); // gone, or over already
  }
}
