import { setMaxListeners } from 'node:events';

import type { GenerationStream, PictureOptions } from '@emu/sdk';

/** A model that pictures are asked of: here or on a server. */
export interface PictureTarget {
  imagine(prompt: string, options: PictureOptions): GenerationStream;
}

export interface PictureLoad {
  /** Pictures that are drawn at a time. */
  readonly streams: number;
  readonly steps: number;
  /** After so many seconds no picture is begun; those under way are finished. */
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export interface PictureFigures {
  readonly picturesPerMinute: number;
  readonly errors: number;
}

/** Draws pictures on all streams; every stream at least one. */
export async function runPictureLoad(
  target: PictureTarget,
  { streams, steps, seconds, signal }: PictureLoad,
): Promise<PictureFigures> {
  signal.throwIfAborted();
  setMaxListeners(0, signal); // one per picture under way
  const start = performance.now();
  const isOver = (): boolean => performance.now() - start > seconds * 1000;
  let [pictures, errors, next] = [0, 0, 0];
  const draw = async (): Promise<void> => {
    do {
      try {
        const seed = next++;
        const made = await target.imagine(`${seed} red balls`, { steps, seed, signal }).images();
        pictures += made.length; // in a statement of its own: the sum is read after the wait, not before
      } catch {
        signal.throwIfAborted();
        errors += 1;
        return;
      }
    } while (!isOver());
  };
  await Promise.all(Array.from({ length: streams }, draw));
  return { picturesPerMinute: (60_000 * pictures) / (performance.now() - start), errors };
}
