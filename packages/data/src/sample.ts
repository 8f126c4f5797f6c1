import type { Scene } from './world/scene.js';

/** A decoded picture: `data` holds rows from top to bottom, three bytes (red, green, blue) per pixel. */
export interface SampleImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Who speaks an element of a dialogue or a question. Elements without a role are plain documents. */
export type SampleRole = 'system' | 'user' | 'assistant';

/** One piece of an interleaved sample, in reading order. `timeSeconds` is set on the frames of a video. */
export type SampleElement =
  | { readonly type: 'text'; readonly text: string; readonly role?: SampleRole }
  | {
      readonly type: 'image';
      readonly image: SampleImage;
      readonly role?: SampleRole;
      readonly timeSeconds?: number;
    };

/**
 * What a sample is, so that a trainer can lay it out. All but `pair` are in reading order; a trainer may swap the
 * picture and the text of a `pair`.
 *
 * - `pair`: one image, one text.
 * - `document`: pictures with their texts, image before text.
 * - `few-shot`: k labelled examples and a labelled query; what the labels mean is new in each document.
 * - `style`: a picture in a style, a text, and a picture of that text in the same style.
 * - `blend`: two pictures, then a third that has what both of them show.
 * - `video`: frames in time order, then a caption.
 * - `storyboard`: subtitles and frames, interleaved by time.
 * - `question`, `video-question`: picture or frames and question (role user), answer (role assistant).
 * - `dialogue`: turns with roles, the first element may be a system message.
 */
export type SampleKind =
  | 'pair'
  | 'document'
  | 'few-shot'
  | 'style'
  | 'blend'
  | 'video'
  | 'storyboard'
  | 'question'
  | 'video-question'
  | 'dialogue';

/** What is known about a sample beside what the model sees: the truth that judges compare with. */
export interface SampleMeta {
  /** The scene of every image element, in order (drawn worlds only). */
  readonly scenes?: readonly Scene[];
  /** Texts that describe the picture (or the video) as well as the sample's own; the own one is the first. */
  readonly references?: readonly string[];
  /** What is asked: `color`, `shape`, `count`, `relation`, `existence`, `motion`; or the rule of few-shot labels. */
  readonly task?: string;
  readonly question?: string;
  /** The right answer, or the label of the query of a few-shot document. */
  readonly answer?: string;
  /** Number of labelled examples before the query. */
  readonly shots?: number;
  /** The held-out combinations that the sample shows, as `red circle` or `star left-of circle`. */
  readonly heldOut?: readonly string[];
}

/** One training or evaluation sample, whatever its source. */
export interface Sample {
  /** Unique within the source, stable between runs. It names the sample in errors and logs. */
  readonly id: string;
  /** Name of the source it came from. */
  readonly source: string;
  readonly kind: SampleKind;
  readonly elements: readonly SampleElement[];
  readonly meta?: SampleMeta;
}

/** A position in a stream as plain JSON; only the source that wrote it understands it. */
export type StreamPosition =
  null | boolean | number | string | readonly StreamPosition[] | { readonly [key: string]: StreamPosition };

/**
 * Which samples a stream yields. `train` never shows a held-out combination; `evaluation` has the same distribution
 * and never a sample of `train`; every sample of `held-out` shows a held-out combination.
 */
export type SampleSplit = 'train' | 'evaluation' | 'held-out';

/** How a stream is opened. */
export interface OpenOptions {
  /** Integer 0..2^53-1. The same seed yields the same samples in the same order. */
  readonly seed: number;
  readonly split: SampleSplit;
  /** Where to go on, from `position()` of a stream of the same source, seed and split; absent: from the start. */
  readonly position?: StreamPosition | undefined;
  /** Threads that make samples ahead; 0 makes them where they are taken. The samples are the same. Default 0. */
  readonly workers?: number;
  /** At most this many samples wait ready or in the making, when there are workers. Default 64. */
  readonly ahead?: number;
}

/** Samples in a fixed order. Take them with `for await` or `next()`; one reader at a time. */
export interface SampleStream extends AsyncIterable<Sample> {
  next(): Promise<IteratorResult<Sample, undefined>>;
  /** The position of the next sample not yet taken. Opening there goes on with exactly that sample. */
  position(): StreamPosition;
  /** Stops workers and forgets what was made ahead. A closed stream yields nothing more. Safe to call twice. */
  close(): Promise<void>;
}

/** Where samples come from. */
export interface SampleSource {
  readonly name: string;
  open(options: OpenOptions): SampleStream;
}
