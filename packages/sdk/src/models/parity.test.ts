import { describe, expect, it } from 'vitest';

import {
  allocate,
  elementCount,
  ReferenceBackend,
  type Backend,
  type Program,
  type TensorData,
  type TensorType,
} from '@emu/program';

import { testBackends } from '../testing/backends.js';
import { relativeL2 } from '../testing/reference-model.js';
import { relativeBuckets } from './causal-transformer.js';
import type { LlamaConfig, UNetConfig } from './config.js';
import { decoderProgram } from './decoder.js';
import { encodeImagesProgram } from './encode-images.js';
import { safetyCheckerProgram } from './safety-checker.js';
import { unetProgram } from './unet-program.js';
import { vaeDecodeProgram, vaeEncodeProgram } from './vae-program.js';

/*
 * Models of awkward sizes, with random weights: head widths 88 and 6, channels that are no multiple of a vector, other
 * numbers of resolutions. Every backend gives what the reference executor gives.
 */

const visual = {
  imageSize: 47,
  patchSize: 9,
  width: 176,
  layers: 2,
  headWidth: 88,
  mlpWidth: 383,
  epsilon: 1e-6,
  headOutputWidth: 5,
};
const causalTransformer = {
  queries: 33,
  width: 30,
  heads: 3,
  headWidth: 6,
  feedForwardWidth: 71,
  layers: 3,
  encoderWidth: 176,
  outputWidth: 36,
  relativeAttentionBuckets: 10,
  relativeAttentionMaxDistance: 20,
  epsilon: 1e-6,
};
const llama: LlamaConfig = {
  vocabulary: 101,
  width: 36,
  layers: 2,
  heads: 6,
  feedForwardWidth: 53,
  epsilon: 1e-5,
  ropeTheta: 500,
  contextLength: 64,
  lora: { rank: 3, alpha: 5, targets: ['q_proj', 'v_proj'] },
};
const unet: UNetConfig = {
  sampleSize: 9,
  inChannels: 5,
  outChannels: 3,
  blockChannels: [12, 20, 36],
  downBlocks: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  upBlocks: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  layersPerBlock: 1,
  heads: [2, 5, 3],
  crossAttentionWidth: 13,
  groups: 4,
  epsilon: 1e-4,
  flipSinToCos: false,
  frequencyShift: 1,
  useLinearProjection: false,
};
const vae = {
  sampleSize: 10,
  inChannels: 3,
  outChannels: 3,
  latentChannels: 3,
  blockChannels: [9, 15],
  layersPerBlock: 1,
  groups: 3,
  scalingFactor: 0.5,
};
const safetyChecker = {
  imageSize: 20,
  patchSize: 7,
  width: 21,
  layers: 1,
  heads: 3,
  mlpWidth: 31,
  projectionWidth: 11,
  epsilon: 1e-5,
  activation: 'gelu',
  concepts: 2,
  specialCareConcepts: 1,
} as const;

const rows = 7;
const decoderOptions = {
  slots: 2,
  pages: 6,
  pageSize: 3,
  pagesPerSlot: 3,
  rows,
  visualRows: 2,
  logitRows: 3,
  outputs: ['hidden', 'logits', 'regressed', 'losses'],
} as const;
const decoderInputs = {
  ids: Int32Array.of(5, 100, 0, 7, 8, 9, 10),
  visualTarget: Int32Array.of(4, -1),
  slot: Int32Array.of(1, 1, 1, 1, 0, 0, -1),
  position: Int32Array.of(0, 1, 2, 3, 0, 1, 0),
  pageTable: Int32Array.of(3, 0, 1, 5, 2, 4),
  logitIndex: Int32Array.of(3, 5, 0),
  target: Int32Array.of(17, -100, 99),
};

const cases: readonly { program: Program; inputs?: Readonly<Record<string, TensorData>>; bound: number }[] = [
  {
    program: encodeImagesProgram({ visual, causalTransformer }, 2),
    inputs: { relativeBuckets: relativeBuckets(causalTransformer) },
    bound: 1e-5,
  },
  {
    program: decoderProgram(llama, { ...decoderOptions, cacheDtype: 'f32' }),
    inputs: decoderInputs,
    bound: 1e-5,
  },
  {
    // Both round to bf16 in the same places; a sum on the edge of two roundings may fall to either side.
    program: decoderProgram(llama, {
      ...decoderOptions,
      cacheDtype: 'bf16',
      precision: { matrices: 'bf16' },
    }),
    inputs: decoderInputs,
    bound: 1e-2,
  },
  { program: unetProgram(unet, { batch: 3, height: 9, width: 7, tokens: 5 }), bound: 1e-5 },
  { program: vaeEncodeProgram(vae, { batch: 2, height: 11, width: 6 }), bound: 1e-5 },
  { program: vaeDecodeProgram(vae, { batch: 2, height: 5, width: 3 }), bound: 1e-5 },
  { program: safetyCheckerProgram(safetyChecker, 3), bound: 1e-5 },
];

/** Numbers in -1..1 that depend on their index and a seed alone. */
function pseudoRandom(type: TensorType, seed: number): TensorData {
  const data = allocate(type.dtype, elementCount(type.shape));
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state / 2 ** 31 - 1;
  }
  return data;
}

async function runWithRandomWeights(
  backend: Backend,
  program: Program,
  inputs: Readonly<Record<string, TensorData>>,
): Promise<Record<string, TensorData>> {
  const session = backend.openSession();
  const typeOf = (value: number): TensorType => program.values[value] ?? { shape: [], dtype: 'f32' };
  for (const [index, { name, value, layout }] of program.weights.entries()) {
    const type = typeOf(value);
    const data = pseudoRandom({ shape: type.shape, dtype: 'f32' }, index) as Float32Array;
    // About the size that keeps activations near one.
    const fanIn = elementCount(type.shape.slice(1));
    for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) * Math.sqrt(3 / fanIn);
    await session.loadWeight({ name, ...type, layout, source: { kind: 'data', dtype: 'f32', data } });
  }
  for (const { name, value } of program.states)
    session.createState(name, typeOf(value).shape, typeOf(value).dtype);
  const random = program.inputs.map(({ name, value }, index) => [
    name,
    pseudoRandom(typeOf(value), 1000 + index),
  ]);
  const bound = { ...(Object.fromEntries(random) as Record<string, TensorData>), ...inputs };
  try {
    return await session.compile(program).run(bound, { check: 'finite' });
  } finally {
    await session.dispose();
  }
}

const others = testBackends.filter(({ name }) => name !== 'reference');
// Shown as skipped, not absent, where only the reference executor is there.
const compared = others.length > 0 ? others : testBackends;

describe.skipIf(others.length === 0).each(compared)(
  'models of awkward sizes, on the $name backend',
  ({ backend }) => {
    it.each(cases)('$program.name', async ({ program, inputs = {}, bound }) => {
      const expected = await runWithRandomWeights(new ReferenceBackend(), program, inputs);
      const actual = await runWithRandomWeights(backend, program, inputs);
      for (const [name, values] of Object.entries(expected)) {
        expect(relativeL2(actual[name] as Float32Array, values as Float32Array), name).toBeLessThanOrEqual(
          bound,
        );
        expect(values.some((value) => value !== 0)).toBe(true);
      }
    });
  },
);
