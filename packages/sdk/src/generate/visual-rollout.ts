import { EmuError } from '@emu/program';

import type { PromptOptions, Sequence } from './sequence.js';
import type { Element } from './step.js';

/** Told of each visual embedding f32[D] as it is made, with its index from 0. */
export type EmbeddingWatcher = (embedding: Float32Array, index: number) => void;

/**
 * Makes the `count` visual embeddings of a picture. `opening` is appended first and ends with [IMG]; afterwards the
 * sequence holds the first count-1 embeddings too (the last one is appended by whoever goes on after the picture). The
 * regression head of the state at [IMG] is z_1; each z_k is the next input and gives z_{k+1}. -> f32[N,D] row-major.
 * Source: Emu1/models/modeling_emu.py, Emu.generate_image, which runs the whole sequence again for every embedding; with
 * the key/value cache each costs one row.
 */
export async function rollOutImage(
  sequence: Sequence,
  opening: readonly Element[],
  count: number,
  options: PromptOptions & { readonly watch?: EmbeddingWatcher },
): Promise<Float32Array> {
  const made: Float32Array[] = [];
  for (let index = 0; index < count; index++) {
    const last = made.at(-1);
    const { regressed } = await (last === undefined && sequence.length === 0
      ? sequence.prefill(opening, ['regressed'], options)
      : sequence.extend(last ? [last] : opening, ['regressed'], options));
    if (regressed === undefined) throw new EmuError('INTERNAL', '[generate] a step returned no embedding');
    const embedding = regressed.slice();
    made.push(embedding);
    options.watch?.(embedding, index);
  }
  return joinRows(made);
}

/** Rows of equal width, one after the other. */
export function joinRows(rows: readonly Float32Array[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const joined = new Float32Array(rows.length * width);
  for (const [index, row] of rows.entries()) joined.set(row, index * width);
  return joined;
}
