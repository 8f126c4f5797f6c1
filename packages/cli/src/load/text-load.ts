import { setMaxListeners } from 'node:events';

import { Arrivals, uniform } from './arrivals.js';
import { Latencies } from './latencies.js';

/** A text that a load asks for. */
export interface TextRequest {
  readonly prompt: string;
  /** Tokens of the answer, no more and no fewer. */
  readonly tokens: number;
  readonly seed: number;
}

/** How every target draws its texts: a model that takes the likeliest may say half a character for ever. */
export function samplingOf(tokens: number): {
  readonly [K in 'numBeams' | 'temperature' | 'topP' | 'topK' | 'minNewTokens' | 'maxNewTokens']: number;
} {
  return { numBeams: 1, temperature: 1, topP: 1, topK: 0, minNewTokens: tokens, maxNewTokens: tokens };
}

/** A model that texts are asked of: here or on a server. */
export interface TextTarget {
  /**
   * Calls `onText` as each piece of text comes. Resolves with the tokens of the whole; with undefined when the signal cut
   * it off.
   */
  answer(request: TextRequest, onText: () => void, signal: AbortSignal): Promise<number | undefined>;
}

export interface TextLoad {
  /** Requests that run at a time. */
  readonly streams: number;
  /** Requests per second, whatever the server does; without it every stream asks again as soon as it has its answer. */
  readonly rate: number | undefined;
  /** Tokens of an answer: between half and one and a half times as many, evenly spread. */
  readonly tokens: number;
  /** Seconds that are measured. */
  readonly seconds: number;
  /** Seconds before them, which are not. */
  readonly warmUpSeconds: number;
  readonly signal: AbortSignal;
}

export interface TextFigures {
  readonly tokensPerSecond: number;
  /** From when a request was due to its first text, so that a stall counts for all that it delays. */
  readonly firstToken: Latencies;
  /** Between texts of one stream. */
  readonly interToken: Latencies;
  readonly errors: number;
}

const seed = 20_230_711;

/**
 * Puts a load on a model for some time. Requests still under way at the end are cancelled; only what came within the
 * measured time counts.
 */
export async function runTextLoad(target: TextTarget, load: TextLoad): Promise<TextFigures> {
  load.signal.throwIfAborted();
  const run = new TextRun(target, load);
  await run.finish();
  load.signal.throwIfAborted();
  return run.figures();
}

class TextRun {
  readonly #target: TextTarget;
  readonly #load: TextLoad;
  readonly #start = performance.now();
  /** The measured time. */
  readonly #from: number;
  readonly #to: number;
  /**
   * Of our own, with a timer that is held: Node 20 may collect an AbortSignal.any of an AbortSignal.timeout before it
   * fires, and then nothing ends.
   */
  readonly #ending = new AbortController();
  readonly #arrivals: Arrivals;
  readonly #firstToken = new Latencies();
  readonly #interToken = new Latencies();
  #texts = 0;
  /** Of answers that are whole: characters may be made of several tokens, and a slow reader gets texts joined. */
  #wholeTexts = 0;
  #wholeTokens = 0;
  #errors = 0;

  constructor(target: TextTarget, load: TextLoad) {
    this.#target = target;
    this.#load = load;
    this.#from = this.#start + load.warmUpSeconds * 1000;
    this.#to = this.#from + load.seconds * 1000;
    setMaxListeners(0, this.#ending.signal); // one per request under way
    this.#arrivals = new Arrivals(load.rate, seed);
  }

  /** Runs all streams until the time is over or the caller aborts. */
  async finish(): Promise<void> {
    const end = (): void => {
      this.#ending.abort(this.#load.signal.reason);
    };
    const timer = setTimeout(end, this.#to - this.#start);
    this.#load.signal.addEventListener('abort', end, { once: true });
    try {
      await Promise.all(Array.from({ length: this.#load.streams }, () => this.#stream()));
    } finally {
      clearTimeout(timer);
      this.#load.signal.removeEventListener('abort', end);
    }
  }

  figures(): TextFigures {
    const tokensPerText = this.#wholeTexts === 0 ? 1 : this.#wholeTokens / this.#wholeTexts;
    return {
      tokensPerSecond: (this.#texts * tokensPerText) / this.#load.seconds,
      firstToken: this.#firstToken,
      interToken: this.#interToken,
      errors: this.#errors,
    };
  }

  /** One of the streams: takes the next request that is due, again and again. */
  async #stream(): Promise<void> {
    while (!this.#isOver()) {
      const { index, due } = this.#arrivals.next();
      const dueAt = due === undefined ? performance.now() : this.#start + due;
      await until(dueAt, this.#ending.signal);
      if (this.#isOver()) return;
      try {
        await this.#request(index, dueAt);
      } catch {
        // What was under way when the time was over was cut off by us.
        if (this.#isOver()) return;
        this.#errors += 1;
        await until(performance.now() + errorPauseMs, this.#ending.signal);
      }
    }
  }

  #isOver(): boolean {
    return this.#ending.signal.aborted;
  }

  async #request(index: number, dueAt: number): Promise<void> {
    const tokens = Math.max(2, Math.round(this.#load.tokens * (0.5 + uniform(seed, index, 1))));
    let texts = 0;
    let last: number | undefined;
    const onText = (): void => {
      const now = performance.now();
      this.#onText(now, last, dueAt);
      last = now;
      texts += 1;
    };
    const request = { prompt: promptOf(index), tokens, seed: index };
    const made = await this.#target.answer(request, onText, this.#ending.signal);
    if (made === undefined) return;
    this.#wholeTexts += texts;
    this.#wholeTokens += made;
  }

  #onText(now: number, last: number | undefined, dueAt: number): void {
    if (now < this.#from || now > this.#to) return;
    this.#texts += 1;
    if (last === undefined) this.#firstToken.record(now - dueAt);
    else this.#interToken.record(now - last);
  }
}

/** So that a server that refuses everything is not asked as fast as it can refuse. */
const errorPauseMs = 100;

/** No two begin alike, so that no prompt finds another's keys and values in the cache. */
function promptOf(index: number): string {
  return `${index} cats sit on a mat and look at a red ball that lies in the green grass`;
}

async function until(time: number, signal: AbortSignal): Promise<void> {
  const left = time - performance.now();
  if (left <= 0 || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, left);
    signal.addEventListener('abort', wake, { once: true });
  });
}
