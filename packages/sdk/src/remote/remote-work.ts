import { EmuError, type FloatTensor } from '@emu/program';

import type { GenerationEvent, GenerationResult } from '../generate/events.js';
import type { GenerationWork } from '../generate/generation-stream.js';
import type { NumberedPart } from './generation-part.js';
import { Received } from './received.js';
import { Told } from './told.js';
import { backoff, pause, publicError, TransportError, type Transport } from './transport.js';

/** What a stream hands its events to; it waits while a promise is pending. */
type TakePart = (part: NumberedPart) => void | Promise<void>;

/** A generation as its calls: from the start, again from an event on, and to stop it. Streams resolve at their end. */
export interface RemoteCalls {
  /** again: of a generation that is begun again, with its seed if the server has told it. */
  begin(take: TakePart, signal: AbortSignal, again?: { readonly seed?: bigint }): Promise<void>;
  resume(generationId: string, after: bigint, take: TakePart, signal: AbortSignal): Promise<void>;
  cancel(generationId: string): Promise<unknown>;
}

/** What becomes of streams that are lost, in milliseconds. */
export interface LostStreams {
  /** For so long the server is looked for; 0: a lost stream ends the generation. */
  readonly reconnect: number;
  /** For so long the server goes on with the work; 0: it stops. */
  readonly retention: number;
}

/** What the caller asked for that the answer depends on. */
export interface RemoteWorkOptions extends LostStreams {
  readonly tellsTokens: boolean;
  readonly embeddings: FloatTensor | undefined;
}

/** What the server said of a generation when it began. */
interface Origin {
  readonly generationId: string;
  readonly revision: string;
  readonly seed: bigint;
}

/**
 * A generation that a server runs. A call that never reached the server is repeated; a stream that was lost half way
 * is taken up after its last event where the server keeps it. A server that does not, or that was started anew, is asked
 * once more with the same seed, and what was told before is dropped. So the events are those of an unbroken stream.
 */
export class RemoteWork implements GenerationWork {
  readonly #told = new Told();
  #received: Received;
  /** What was there before the generation was begun again. */
  #before: Received | undefined;
  #origin: Origin | undefined;
  #last = 0n;
  /** Events that have come, over all streams. */
  #count = 0;

  constructor(
    readonly transport: Transport,
    readonly calls: RemoteCalls,
    readonly options: RemoteWorkOptions,
  ) {
    this.#received = this.#nothing();
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
    const whole = this.#told.isBehind ? (this.#before ?? this.#received) : this.#received;
    return whole.result('aborted');
  }

  #nothing(): Received {
    return new Received(this.options.tellsTokens, this.options.embeddings);
  }

  /** The stream, taken up again as often as it is lost. Fails as a whole only before its first event. */
  async #begin(emit: (event: GenerationEvent) => void, signal: AbortSignal): Promise<void> {
    const take: TakePart = (part) => this.#take(part, emit);
    let attempt = (): Promise<void> => this.calls.begin(take, signal);
    let lostAt = performance.now();
    for (let attempts = 0; ; attempts++) {
      const before = this.#count;
      try {
        await attempt();
        return;
      } catch (error) {
        if (this.#count > before || attempts === 0) [attempts, lostAt] = [0, performance.now()];
        const isForgotten = this.#isForgotten(error);
        if (!isForgotten) await this.#waitAfter(error, attempts, lostAt, signal);
        attempt = () => this.#again(isForgotten, take, signal);
      }
    }
  }

  /** Waits before the next attempt. @throws the error when there is none: a failure, or lost for too long. */
  async #waitAfter(error: unknown, attempts: number, lostAt: number, signal: AbortSignal): Promise<void> {
    const failure =
      error instanceof TransportError && error.failure.isUnavailable ? error.failure : undefined;
    // Before the first event the whole call is repeated, by whoever called.
    const mayWait = performance.now() - lostAt < this.options.reconnect;
    if (failure === undefined || !this.#hasBegun || !mayWait) throw this.#asFinal(error);
    await pause(failure.retryAfter ?? backoff(attempts), signal);
  }

  get #hasBegun(): boolean {
    return this.#last > 0n || this.#origin !== undefined;
  }

  #again(isForgotten: boolean, take: TakePart, signal: AbortSignal): Promise<void> {
    const isKept = this.options.retention > 0 && !isForgotten;
    if (isKept && this.#origin !== undefined && this.#last > 0n) {
      return this.calls.resume(this.#origin.generationId, this.#last, take, signal);
    }
    if (!this.#told.isBehind) this.#before = this.#received;
    this.#received = this.#nothing();
    this.#told.restart();
    this.#last = 0n;
    return this.calls.begin(take, signal, this.#origin ?? {});
  }

  #take({ sequence, event }: NumberedPart, emit: (event: GenerationEvent) => void): void | Promise<void> {
    if (sequence <= this.#last) return; // told before the stream was lost
    this.#last = sequence;
    this.#count += 1;
    if (event.case === 'started') this.#onStarted(event.value);
    const tell = (events: readonly GenerationEvent[]): void => {
      for (const told of events) {
        const fresh = this.#told.fresh(told);
        if (fresh !== undefined) emit(fresh);
      }
    };
    const made = this.#received.take(event);
    if (made instanceof Promise) return made.then(tell);
    tell(made);
  }

  #onStarted({ generationId, revision, seed }: Origin): void {
    if (this.#origin !== undefined && this.#origin.revision !== revision) {
      throw new EmuError('CURSOR_EXPIRED', '[remote] the server has another model than when it began', {
        hint: 'Send the request again.',
        details: { before: this.#origin.revision, now: revision },
      });
    }
    this.#origin = { generationId, revision, seed };
  }

  /** Whether a server that was asked to go on knows nothing of the generation. */
  #isForgotten(error: unknown): boolean {
    return (
      error instanceof TransportError &&
      error.failure.error.code === 'CURSOR_EXPIRED' &&
      this.#origin !== undefined &&
      this.#last > 0n
    );
  }

  /** After the first event a repeat would tell everything twice: whoever repeats must see another kind of error. */
  #asFinal(error: unknown): unknown {
    return this.#hasBegun ? publicError(error) : error;
  }

  /** A server that keeps lost streams does not stop by itself. */
  #stopAtServer(): void {
    if (this.options.retention === 0 || this.#origin === undefined) return;
    this.calls.cancel(this.#origin.generationId).catch(() => undefined); // gone, or over already
  }
}
