import { EmuError, permute, reshape, squaredError, type Value, type WeightSource } from '@emu/program';

import type { MultimodalConfig } from '../../models/config.js';
import { project } from '../../nn/layers.js';
import type { Parameters } from '../../nn/parameters.js';
import { extraMatrix } from '../model/extra-weights.js';

/*
 * Pixels from visual embeddings: the picture is cut into as many cells as it has embeddings, row by row, and one linear
 * head reads each cell off the embedding of its number. A loss of training alone, and so is its head: with it embeddings
 * learn where things lie, which contrast and captions ask for too seldom. It stands in for the masked-image pretraining
 * that EVA-CLIP brings along (Fang et al. 2022), for a model that starts from nothing.
 */

/** Where the head's parameters are; no model folder has them. */
const headName = 'reconstruction';
/** Streams of random numbers of the head: its own. */
const headStream = 1 << 25;

type ReconstructionConfig = Pick<MultimodalConfig, 'visual' | 'causalTransformer'>;

/** Cells along a side of the picture, and pixels along a side of a cell. */
function cellsOf({ visual, causalTransformer }: ReconstructionConfig): { grid: number; side: number } {
  const grid = Math.sqrt(causalTransformer.queries);
  const side = visual.imageSize / grid;
  if (Number.isInteger(grid) && Number.isInteger(side)) return { grid, side };
  throw new EmuError(
    'INVALID_CONFIG',
    `[train] ${causalTransformer.queries} embeddings do not cut a picture of ${visual.imageSize} pixels into squares`,
    {
      hint: 'Leave reconstruction_weight at 0 for this model.',
      details: { queries: causalTransformer.queries, imageSize: visual.imageSize },
    },
  );
}

/**
 * Mean squared error of every cell: embeddings f32[P,N,D], pixels f32[P,3,S,S] -> f32[P*N].
 * @throws EmuError INVALID_CONFIG unless N is a square number whose root divides S.
 */
export function reconstructionLossRows(
  p: Parameters,
  embeddings: Value,
  pixels: Value,
  config: ReconstructionConfig,
): Value {
  const { grid, side } = cellsOf(config);
  const [pictures, queries, width] = [embeddings.side(0), embeddings.side(1), embeddings.side(2)];
  const values = 3 * side * side;
  const cut = reshape(pixels, [pictures, 3, grid, side, grid, side]);
  const cells = reshape(permute(cut, [0, 2, 4, 1, 3, 5]), [pictures * queries, values]);
  const rows = reshape(embeddings, [pictures * queries, width]);
  return squaredError(project(rows, p.linear(headName, width, values)), cells);
}

/** First values of the head; undefined for every other tensor. */
export function reconstructionInitial(
  name: string,
  config: ReconstructionConfig,
  seed: number,
): WeightSource | undefined {
  if (!name.startsWith(`${headName}.`)) return undefined;
  const { outputWidth } = config.causalTransformer;
  const values = 3 * cellsOf(config).side ** 2;
  if (name === `${headName}.bias`) return { kind: 'data', dtype: 'f32', data: new Float32Array(values) };
  return extraMatrix([values, outputWidth], outputWidth, seed, headStream);
}
