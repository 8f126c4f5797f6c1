import type { TokenRules } from './logits-processors.js';
import type { ExtendOptions, Sequence } from './sequence.js';
import type { Decoder, Element, RowOutput, RowResult } from './step.js';

/** What every way of choosing tokens is given. */
export interface TokenTask {
  readonly decoder: Decoder;
  /** The whole prompt, <s> included. Not empty. */
  readonly prompt: readonly Element[];
  /** <s>, which transformers puts before the tokens it makes; rules count it. */
  readonly startId: number;
  readonly rules: TokenRules;
  readonly maxNewTokens: number;
  /** Makes a picture where the model wrote [IMG]; see `ImageHook`. Greedy search and sampling only. */
  readonly imageHook?: ImageHook | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told how many of the prompt's positions the cache had already. */
  readonly onCached?: ((positions: number) => void) | undefined;
}

/**
 * Called with a sequence that ends just before [IMG], which the model has chosen. Appends [IMG], the picture's
 * embeddings and [/IMG] and returns what is wanted there; undefined when the context has no room for it.
 */
export interface ImageHook {
  readonly imageStartId: number;
  readonly makeImage: (
    sequence: Sequence,
    wanted: readonly RowOutput[],
    options: ExtendOptions,
  ) => Promise<RowResult | undefined>;
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
