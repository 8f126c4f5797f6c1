import type { TokenRules } from './logits-processors.js';
import type { Decoder, Element } from './step.js';

/** What every way of choosing tokens is given. */
export interface TokenTask {
  readonly decoder: Decoder;
  /** The whole prompt, <s> included. Not empty. */
  readonly prompt: readonly Element[];
  /** <s>, which transformers puts before the tokens it makes; rules count it. */
  readonly startId: number;
  readonly rules: TokenRules;
  readonly maxNewTokens: number;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens that were made for a prompt. */
export interface TokenRun {
  /** Without <s>, and with </s> where the model ended. */
  readonly ids: readonly number[];
  /** `stop`: the model ended; `length`: maxNewTokens; `halt`: the watcher asked to stop. */
  readonly end: 'stop' | 'length' | 'halt';
  /** Beam search only: sum of log-probabilities over length ** lengthPenalty. */
  readonly score?: number;
}

/** Told of each token as soon as it is certain; true asks to stop after it. */
export type TokenWatcher = (id: number) => boolean;

export const watchNothing: TokenWatcher = () => false;
