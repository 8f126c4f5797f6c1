import type { FloatTensor } from '@emu/program';

import type { Pixels } from '../image/pixels.js';
import type { TokenProbability } from './token-details.js';

/** A picture that a model made: [height,width,3] u8. */
export interface GeneratedImage extends Pixels {
  readonly seed: number | bigint;
  /** The safety checker saw one of its concepts; the picture is black unless only a report was asked for. */
  readonly flagged: boolean;
  /** False when there is no safety checker, or it was switched off. */
  readonly checked: boolean;
  /** The visual embeddings it was made of, f32[N,D]; can be used in prompts through `embedding()`. */
  readonly embeddings: FloatTensor;
}

/** Why a generation is over. `aborted` only with `onAbort: 'return'`. */
export type FinishReason = 'stop' | 'length' | 'stop-sequence' | 'aborted';

/** What a call used. */
export interface Usage {
  /** Positions of the prompt, <s> and the embeddings of pictures included. */
  readonly promptTokens: number;
  /** Of these, positions that an earlier prompt with the same beginning had left in the key/value cache. */
  readonly cachedTokens: number;
  /** Tokens made, </s> included; of the best beam. */
  readonly completionTokens: number;
  /** Pictures read with the prompt, and made. */
  readonly promptImages: number;
  readonly images: number;
  /** Calls of the U-Net. */
  readonly denoisingSteps: number;
}

/**
 * What happens while something is generated, in this order: queued? started (token | text | visual-embedding |
 * image-progress | image)* finish. A stream that fails or is aborted ends without `finish`.
 */
export type GenerationEvent =
  /** The key/value cache is taken; so many calls are in front. */
  | { readonly type: 'queued'; readonly position: number }
  | { readonly type: 'started'; readonly model: string; readonly seed: number | bigint }
  /** Whole characters that will not change. */
  | { readonly type: 'text'; readonly text: string }
  /**
   * With the option tokens or logprobs: a token, before the text it ends up in; </s> too. Beam and contrastive search tell of no
   * probabilities.
   */
  | {
      readonly type: 'token';
      readonly id: number;
      /** With the option logprobs. */
      readonly logprob?: number;
      /** With the option topLogprobs, best first. */
      readonly alternatives: readonly TokenProbability[];
    }
  /** Embedding `index` (of N) of picture `imageIndex`, f32[D]. */
  | {
      readonly type: 'visual-embedding';
      readonly imageIndex: number;
      readonly index: number;
      readonly embedding: Float32Array;
    }
  | {
      readonly type: 'image-progress';
      readonly imageIndex: number;
      readonly step: number;
      readonly totalSteps: number;
      /** With the option previewEvery: a small picture of the state. */
      readonly preview?: Pixels;
    }
  | { readonly type: 'image'; readonly imageIndex: number; readonly image: GeneratedImage }
  | {
      readonly type: 'finish';
      readonly reason: FinishReason;
      readonly usage: Usage;
      readonly seed: number | bigint;
    };

/** All of a generation. */
export interface GenerationResult {
  readonly text: string;
  readonly images: readonly GeneratedImage[];
  /** Text and pictures in the order in which they came. */
  readonly content: readonly (string | GeneratedImage)[];
  /** Ids of the tokens made, </s> included. */
  readonly tokens: readonly number[];
  readonly usage: Usage;
  readonly finishReason: FinishReason;
  readonly seed: number | bigint;
  /** Beam search: sum of log-probabilities over length ** lengthPenalty. */
  readonly score?: number;
}
