import { EmuError } from '@emu/program';

import type { Pixels } from '../image/pixels.js';
import { preprocessForEncoderInSlices } from '../image/preprocess.js';
import { encodeImagesInputs, encodeImagesProgram } from '../models/encode-images.js';
import type { LoadedModel } from '../session.js';
import { splitRows, type VisualRows } from './prompt.js';

// Larger batches gain nothing on a CPU and would hold a picture's activations eight times over.
const batchSizes = [1, 2, 4, 8] as const;
const largestBatch = 8;

/**
 * Pictures to visual embeddings: each [H,W,3] u8 to N rows of f32[D]. Runs in batches of at most 8; a picture gets the
 * same bits in any of them.
 * @throws EmuError INVALID_IMAGE, what loading the vision part throws, or `signal.reason`.
 */
export async function encodePictures(
  model: LoadedModel,
  pictures: readonly Pixels[],
  signal?: AbortSignal,
): Promise<readonly VisualRows[]> {
  await model.load('vision', { signal });
  const rows: VisualRows[] = [];
  for (let start = 0; start < pictures.length; start += largestBatch) {
    rows.push(...(await encodeBatch(model, pictures.slice(start, start + largestBatch), signal)));
  }
  return rows;
}

async function encodeBatch(
  model: LoadedModel,
  pictures: readonly Pixels[],
  signal: AbortSignal | undefined,
): Promise<readonly VisualRows[]> {
  const { config, precision } = model;
  const { imageSize } = config.visual;
  const batch = batchSizes.find((size) => size >= pictures.length) ?? largestBatch;
  const pixels = new Float32Array(batch * 3 * imageSize * imageSize);
  for (const [index, picture] of pictures.entries()) {
    const { data } = await preprocessForEncoderInSlices(picture, imageSize, { signal });
    pixels.set(data, index * data.length);
  }
  const executable = model.compiled(`encode-images/${batch}`, () =>
    encodeImagesProgram(config, batch, { precision }),
  );
  const { embeddings } = await executable.run(encodeImagesInputs(config, pixels), signal ? { signal } : {});
  if (!(embeddings instanceof Float32Array))
    throw new EmuError('INTERNAL', '[vision] no embeddings came out');
  const { queries, outputWidth } = config.causalTransformer;
  const picture = queries * outputWidth;
  return pictures.map((_, index) =>
    splitRows(embeddings.slice(index * picture, (index + 1) * picture), outputWidth),
  );
}
