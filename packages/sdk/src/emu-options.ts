import type { RowOutput } from './generate/step.js';
import { abortSignal, boolean, integerIn, oneOf, text, type OptionRules } from './generate/option-checks.js';
import { textRules, type TextOptions } from './generate/options.js';
import type { PromptItem } from './image/media.js';
import type { ModelOptions } from './session.js';

/** A prompt: text and media in order. A single item counts as a list of one. */
export type Prompt = PromptItem | readonly PromptItem[];

/** Messages for people who look after the program; the SDK itself prints nothing. */
export interface Logger {
  debug(message: string, details?: Readonly<Record<string, unknown>>): void;
  info(message: string, details?: Readonly<Record<string, unknown>>): void;
  warn(message: string, details?: Readonly<Record<string, unknown>>): void;
}

export interface EmuOptions extends ModelOptions {
  readonly logger?: Logger;
}

export interface CaptionOptions extends TextOptions {
  /** For a model that is not instruction-tuned: text between the picture and its caption. */
  readonly lead?: string;
}

export interface ScoreOptions {
  /**
   * `token` (default): by loss per token of the candidate; `sum`: by its whole log-probability; `authors`: by the mean
   * of the authors' evaluation, which counts prompt and padding and so favours short candidates.
   */
  readonly rankBy?: 'token' | 'sum' | 'authors';
  /** Groups of the authors' mean; see RankedCandidate. Default 1. */
  readonly segments?: number;
  /** Who asks; see CommonOptions. */
  readonly client?: string;
  readonly signal?: AbortSignal;
}

export interface PrefillOptions {
  /** Results of the last position; default logits. `probabilities` are their softmax. */
  readonly outputs?: readonly RowOutput[];
  /** Results of every position instead. */
  readonly every?: boolean;
  /** Positions that the sequence may come to have; default the context length. */
  readonly maxPositions?: number;
  /** Who asks; see CommonOptions. */
  readonly client?: string;
  readonly signal?: AbortSignal;
}

/** Rules of CaptionOptions. */
export const captionRules = { ...textRules, lead: text } satisfies OptionRules;

/** Rules of ScoreOptions. */
export const scoreRules = {
  rankBy: oneOf('token', 'sum', 'authors'),
  segments: integerIn(1, 1_000_000),
  client: text,
  signal: abortSignal,
} satisfies OptionRules;

/** Rules of PrefillOptions. */
export const prefillRules = {
  outputs: {
    describe: 'a list of hidden, logits, probabilities, regressed',
    accepts: (value: unknown) =>
      Array.isArray(value) &&
      value.every((output) => ['hidden', 'logits', 'probabilities', 'regressed'].includes(output as string)),
  },
  every: boolean,
  maxPositions: integerIn(1, 1_000_000),
  client: text,
  signal: abortSignal,
} satisfies OptionRules;
