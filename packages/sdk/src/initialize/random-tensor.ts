import { elementCount, Philox, type Shape } from '@emu/program';

import type { Initialisation } from './initialisation.js';

/** Values drawn at a time: about 5 ms of work, so that the event loop stays free. */
const pieceElements = 1 << 15;

function drawFrom(generator: Philox, initialisation: Initialisation): () => number {
  switch (initialisation.kind) {
    case 'constant':
      return () => initialisation.value;
    case 'normal':
      return () => initialisation.deviation * generator.nextNormal();
    case 'truncated-normal':
      return () => initialisation.deviation * withinTwo(generator);
    case 'uniform':
      return () => initialisation.bound * (2 * generator.nextFloat() - 1);
    case 'grid-waves': {
      let index = 0;
      return () => gridWave(initialisation, index++);
    }
  }
}

/** Longest wave over the grid, in places. */
const longestWave = 100;

/** One value of `grid-waves`: sines, then cosines of the row at falling frequencies, then those of the column. */
function gridWave(
  { side, width, amplitude }: Extract<Initialisation, { kind: 'grid-waves' }>,
  index: number,
): number {
  const place = Math.floor(index / width) - 1;
  if (place < 0) return 0;
  const quarter = Math.ceil(width / 4);
  const column = index % width;
  const group = Math.floor(column / quarter);
  const along = group < 2 ? Math.floor(place / side) : place % side;
  const angle = along * longestWave ** (-(column % quarter) / quarter);
  return amplitude * (group % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
}

function withinTwo(generator: Philox): number {
  for (;;) {
    const value = generator.nextNormal();
    if (Math.abs(value) <= 2) return value;
  }
}

/**
 * The values of a fresh tensor, in pieces and in order. They depend on the seed, the stream and the initialisation
 * alone; tensors of one model have different streams.
 */
export function* randomPieces(
  shape: Shape,
  initialisation: Initialisation,
  seed: number | bigint,
  stream: number,
): Generator<Float32Array> {
  const draw = drawFrom(new Philox(seed, stream), initialisation);
  const count = elementCount(shape);
  for (let done = 0; done < count; done += pieceElements) {
    const piece = new Float32Array(Math.min(pieceElements, count - done));
    for (let i = 0; i < piece.length; i++) piece[i] = draw();
    yield piece;
  }
}
