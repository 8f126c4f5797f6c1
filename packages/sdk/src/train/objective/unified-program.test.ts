import {
  gradient,
  gradientName,
  ReferenceBackend,
  toFloat32,
  trainable,
  type Program,
  type TensorData,
} from '@emu/program';
import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../../testing/reference-config.js';
import {
  referenceExists,
  referenceFloats,
  referenceJson,
  referenceTensor,
  referenceTensorNames,
} from '../../testing/reference-data.js';
import { referenceEntries, relativeL2 } from '../../testing/reference-model.js';
import { PackedBatch } from '../packing/packed-batch.js';
import { readTensor } from '../../weights/read-tensor.js';
import { unifiedProgram, type UnifiedOptions, type UnifiedShape } from './unified-program.js';

/* The authors' batch: 4 pictures, 3 sequences (training.safetensors of the reference data). */

const file = 'goldens/training.safetensors';
const special = {
  unknown: 0,
  bos: 1,
  eos: 2,
  pad: 32000,
  imageStart: 32001,
  imageEnd: 32002,
  imageSlot: 32003,
} as const;

interface TrainingJson {
  readonly llm_loss: number;
  readonly regression_loss: number;
  readonly regression_alternatives: Readonly<Record<string, number>>;
}

function authorsBatch(shape: UnifiedShape, imagined = false): PackedBatch {
  const { data, shape: sides } = referenceTensor(file, 'text_input');
  const [rows = 0, length = 0] = sides;
  const images = referenceFloats(file, 'image');
  const pictureLength = images.length / 4;
  const batch = new PackedBatch({ config: referenceConfig, special }, shape);
  let taken = 0;
  for (let row = 0; row < rows; row++) {
    const ids = Array.from(data.slice(row * length, (row + 1) * length), Number).filter(
      (id) => id !== special.pad,
    );
    const count = ids.filter((id) => id === special.imageStart).length;
    const pictures = Array.from({ length: count }, () =>
      images.subarray(taken * pictureLength, ++taken * pictureLength),
    );
    if (!batch.add({ ids, pictures, imagined: pictures.map(() => imagined) }))
      throw new Error('the shape has no room for the batch');
  }
  return batch;
}

async function run(
  program: Program,
  inputs: Record<string, TensorData>,
): Promise<Record<string, TensorData>> {
  const session = new ReferenceBackend().openSession();
  const entries = await referenceEntries('multimodal');
  for (const { name, value } of program.states) {
    const type = program.values[value];
    const entry = entries.get(name);
    if (type === undefined || entry === undefined) throw new Error(`no tensor ${name}`);
    session.createState(name, type.shape, type.dtype);
    const tensor = await readTensor(entry);
    await session.writeState(name, toFloat32(tensor));
  }
  return session.compile(program).run(inputs);
}

const loose: UnifiedShape = { rows: 3, length: 41, pictures: 4, textTargets: 40 };

function trained(shape: UnifiedShape, options: UnifiedOptions = {}): Program {
  return trainable(unifiedProgram(referenceConfig, shape, options), { states: () => true });
}

describe.skipIf(!referenceExists)('unifiedProgram on the authors batch', () => {
  it('gives both losses, whatever the packing', async () => {
    const golden = referenceJson<TrainingJson>('goldens/training.json');
    // The second shape packs all three sequences into one row and leaves a picture and places unused.
    for (const shape of [loose, { rows: 1, length: 128, pictures: 5, textTargets: 64 }]) {
      const out = await run(trained(shape), authorsBatch(shape).inputs({ visual: true }));
      expect(out['loss.text']?.[0]).toBeCloseTo(golden.llm_loss, 4);
      expect(out['loss.visual']?.[0]).toBeCloseTo(golden.regression_loss, 5);
      expect(out['loss']?.[0]).toBeCloseTo(golden.llm_loss + golden.regression_loss, 4);
    }
  });

  it('reduces the visual term as its option says', async () => {
    const golden = referenceJson<TrainingJson>('goldens/training.json').regression_alternatives;
    for (const [visualReduction, name] of [
      ['sum_over_dim_mean_over_positions', 'sum_over_dim_mean_over_positions'],
      ['l2_norm', 'l2_norm_mean'],
    ] as const) {
      const out = await run(
        trained(loose, { visualReduction }),
        authorsBatch(loose).inputs({ visual: true }),
      );
      expect(out['loss.visual']?.[0]).toBeCloseTo(golden[name] ?? NaN, 4);
    }
  });

  it('gives the gradient of every parameter', { timeout: 120_000 }, async () => {
    const program = trained(loose);
    const names = program.states.map(({ name }) => name);
    const out = await run(
      gradient(program, { loss: 'loss', of: names, into: 'outputs' }),
      authorsBatch(loose).inputs({ visual: true }),
    );
    const goldens = referenceTensorNames(file).filter(
      (name) => name.startsWith('grad.') && !/\.(norm|rows|rows_norm)$/.test(name.replace('visual.norm', '')),
    );
    const worst = goldens.map((golden) => {
      const ours = out[gradientName(golden.slice('grad.'.length))];
      return ours instanceof Float32Array ? relativeL2(ours, referenceFloats(file, golden)) : Infinity;
    });
    expect(goldens.length).toBeGreaterThan(90);
    expect(Math.max(...worst), goldens[worst.indexOf(Math.max(...worst))] ?? '').toBeLessThan(1e-4);
  });

  it('is the same objective where no picture is imagined', async () => {
    const program = trained(loose, { imagined: true });
    const out = await run(program, authorsBatch(loose).inputs({ visual: true, imagined: true }));
    const golden = referenceJson<TrainingJson>('goldens/training.json');
    expect(out['loss.text']?.[0]).toBeCloseTo(golden.llm_loss, 4);
    expect(out['loss.visual']?.[0]).toBeCloseTo(golden.regression_loss, 5);
  });

  it('predicts imagined pictures from what stands before them alone', async () => {
    const predictions = async (imagined: boolean, dark: boolean): Promise<Float32Array> => {
      const batch = authorsBatch(loose, imagined);
      const inputs = batch.inputs({ visual: true, imagined: true });
      if (dark) (inputs['pixels'] as Float32Array).fill(-1);
      const out = await run(trained(loose, { imagined: true, stages: true }), inputs);
      return out['regress_pred'] as Float32Array;
    };
    expect(await predictions(true, true)).toEqual(await predictions(true, false));
    expect(await predictions(false, true)).not.toEqual(await predictions(false, false));
  });

  it('leaves the visual term and its head out of a text-only program', async () => {
    const program = trained(loose, { visualWeight: 0 });
    expect(program.states.map(({ name }) => name)).not.toContain('decoder.lm.stu_regress_head.weight');
    const out = await run(program, authorsBatch(loose).inputs({}));
    expect(Object.keys(out).sort()).toEqual(['loss', 'loss.text']);
    expect(out['loss']).toEqual(out['loss.text']);
  });
});

describe('options of the objective', () => {
  it('refuses what it does not know', () => {
    const shape = { rows: 1, length: 8, pictures: 0, textTargets: 4 };
    expect(() => unifiedProgram(referenceConfig, shape, { visualWeight: -1 })).toThrow(
      '[objective] visualWeight must be a number of at least 0, got -1',
    );
    expect(() => unifiedProgram(referenceConfig, shape, { visualReduction: 'median' as 'mean' })).toThrow(
      '[objective] visualReduction "median" is none of mean, sum_over_dim_mean_over_positions, l2_norm',
    );
  });
});
