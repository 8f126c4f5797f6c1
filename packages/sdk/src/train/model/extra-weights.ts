import type { Shape, WeightSource } from '@emu/program';

import { randomPieces } from '../../initialize/random-tensor.js';

/** First values of a matrix that only training has, for inputs of `width` of the deviation that a norm leaves them. */
export function extraMatrix(shape: Shape, width: number, seed: number, stream: number): WeightSource {
  const deviation = 0.5 * width ** -0.5;
  const data = new Float32Array(shape.reduce((count, side) => count * side, 1));
  let at = 0;
  for (const piece of randomPieces(shape, { kind: 'normal', deviation }, seed, stream)) {
    data.set(piece, at);
    at += piece.length;
  }
  return { kind: 'data', dtype: 'f32', data };
}
