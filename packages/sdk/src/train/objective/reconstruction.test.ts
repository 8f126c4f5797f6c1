import { ReferenceBackend, trace, trainable } from '@emu/program';
import { describe, expect, it } from 'vitest';

import type { MultimodalConfig } from '../../models/config.js';
import { Parameters, singlePrecision } from '../../nn/parameters.js';
import { reconstructionInitial, reconstructionLossRows } from './reconstruction.js';

/* Pictures of 4 x 4 pixels, four cells of 2 x 2, embeddings of two numbers. */

const sizes = { imageSize: 4, queries: 4, outputWidth: 2 };

function configOf({ imageSize, queries, outputWidth }: typeof sizes) {
  return { visual: { imageSize }, causalTransformer: { queries, outputWidth } } as MultimodalConfig;
}

const values = 3 * 2 * 2;

describe('reconstruction', () => {
  it('compares each cell with what the head reads off its embedding', async () => {
    const pictures = 2;
    const program = trace('rebuild', (t) => {
      const pixels = t.input('pixels', [pictures, 3, 4, 4]);
      const embeddings = t.input('embeddings', [pictures, 4, 2]);
      t.output(
        'rows',
        reconstructionLossRows(Parameters.of(t, singlePrecision), embeddings, pixels, configOf(sizes)),
      );
    });
    const weight = Float32Array.from({ length: values * 2 }, (_, at) => Math.sin(at));
    const bias = Float32Array.from({ length: values }, (_, at) => 0.1 * at);
    const pixels = Float32Array.from({ length: pictures * 48 }, (_, at) => Math.cos(3 * at));
    const embeddings = Float32Array.from({ length: pictures * 8 }, (_, at) => 0.3 * at - 1);
    const session = new ReferenceBackend().openSession();
    session.createState('reconstruction.weight', [values, 2], 'f32');
    session.createState('reconstruction.bias', [values], 'f32');
    await session.writeState('reconstruction.weight', weight);
    await session.writeState('reconstruction.bias', bias);
    const { rows } = await session
      .compile(trainable(program, { states: () => true }))
      .run({ pixels, embeddings });

    const expected: number[] = [];
    for (let picture = 0; picture < pictures; picture++) {
      for (let cell = 0; cell < 4; cell++) {
        const [top, left] = [2 * Math.floor(cell / 2), 2 * (cell % 2)];
        const [x = 0, y = 0] = embeddings.subarray((picture * 4 + cell) * 2);
        let sum = 0;
        for (let value = 0; value < values; value++) {
          const [channel, row, column] = [Math.floor(value / 4), Math.floor(value / 2) % 2, value % 2];
          const pixel = pixels[picture * 48 + channel * 16 + (top + row) * 4 + left + column] ?? 0;
          const read = x * (weight[value * 2] ?? 0) + y * (weight[value * 2 + 1] ?? 0) + (bias[value] ?? 0);
          sum += (read - pixel) ** 2;
        }
        expected.push(sum / values);
      }
    }
    expect(rows).toHaveLength(8);
    for (const [at, value] of expected.entries()) expect(rows?.[at]).toBeCloseTo(value, 4);
  });

  it('gives its head first values and no other tensor any', () => {
    const config = configOf(sizes);
    expect(reconstructionInitial('reconstruction.bias', config, 1)).toMatchObject({
      data: new Float32Array(values),
    });
    const drawn = reconstructionInitial('reconstruction.weight', config, 1);
    expect(drawn).toEqual(reconstructionInitial('reconstruction.weight', config, 1));
    expect(drawn).not.toEqual(reconstructionInitial('reconstruction.weight', config, 2));
    expect(reconstructionInitial('visual.cls_token', config, 1)).toBeUndefined();
  });

  it('refuses a model whose embeddings do not cut the picture into squares', () => {
    for (const wrong of [
      { ...sizes, queries: 3 },
      { ...sizes, imageSize: 5 },
    ]) {
      expect(() => reconstructionInitial('reconstruction.bias', configOf(wrong), 1)).toThrow(
        `${wrong.queries} embeddings do not cut a picture of ${wrong.imageSize} pixels into squares`,
      );
    }
  });
});
