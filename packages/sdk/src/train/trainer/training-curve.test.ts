import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { backendOf } from '../../node-device.js';
import { readRecipe } from '../recipe/index.js';
import { trainingStages } from '../stages/index.js';
import type { TrainingTask } from '../task.js';
import { train, type TrainingEvent } from './index.js';

const folder = join(import.meta.dirname, '../../../../../testdata/training');
const steps = 10;

type Curve = Readonly<Record<'loss.text' | 'loss.visual' | 'grad_norm', readonly number[]>>;

interface CurveFile {
  /** Sum of the token ids of every batch. */
  readonly id_sums: readonly number[];
  readonly pytorch: Curve;
  readonly emu: Curve;
}

/** Wraps a task so that the sums of the token ids of its batches are told. */
function watched(task: TrainingTask, idSums: number[]): TrainingTask {
  return {
    ...task,
    batches(from) {
      const stream = task.batches(from);
      return {
        async next() {
          const batch = await stream.next();
          const ids = (batch?.inputs['ids'] ?? new Int32Array()) as Int32Array;
          idSums.push(ids.reduce((sum, id) => sum + id, 0));
          return batch;
        },
        position: () => stream.position(),
        close: () => stream.close(),
      };
    },
  };
}

async function firstSteps(
  to: string,
): Promise<{ readonly curve: Curve; readonly idSums: readonly number[] }> {
  const read = await readRecipe(join(folder, 'curve.yaml'), [], trainingStages);
  const recipe = { ...read.recipe, output_dir: to };
  const task = await read.stage.createTask(recipe, { recipeFolder: read.folder, planOnly: false });
  const curve = { 'loss.text': [] as number[], 'loss.visual': [] as number[], grad_norm: [] as number[] };
  const idSums: number[] = [];
  const stop = new AbortController();
  const onEvent = (event: TrainingEvent): void => {
    if (event.type !== 'step') return;
    curve['loss.text'].push(event.terms['loss.text'] ?? NaN);
    curve['loss.visual'].push(event.terms['loss.visual'] ?? NaN);
    curve.grad_norm.push(event.gradientNorm);
    if (event.step === steps) stop.abort();
  };
  const run = train({
    backend: backendOf('cpu'),
    task: watched(task, idSums),
    recipe,
    signal: stop.signal,
    onEvent,
  });
  await expect(run).rejects.toMatchObject({ name: 'AbortError' });
  await task.close?.();
  return { curve, idSums: idSums.slice(0, steps) };
}

it(
  'the first steps of emu-tiny have the losses and gradient norms of PyTorch',
  { timeout: 300_000 },
  async () => {
    const known = JSON.parse(await readFile(join(folder, 'curve.json'), 'utf8')) as CurveFile;
    const to = await mkdtemp(join(tmpdir(), 'emu-curve-'));
    try {
      const { curve, idSums } = await firstSteps(to);
      // Other data or another tokenizer: then the curves have to be made again, see docs/training.md.
      expect(idSums).toEqual(known.id_sums.slice(0, steps));
      for (const [name, values] of Object.entries(known.pytorch)) {
        const ours = curve[name as keyof Curve];
        expect(ours).toHaveLength(steps);
        for (const [step, value] of ours.entries()) {
          const theirs = values[step] ?? NaN;
          // The two sides round differently, and the difference grows a little with every step.
          expect(
            Math.abs(value / theirs - 1),
            `${name}, step ${step + 1}: ${value}, PyTorch ${theirs}`,
          ).toBeLessThan(1e-3);
        }
      }
    } finally {
      await rm(to, { recursive: true, force: true });
    }
  },
);

it('losses of all 200 committed steps are within 1 %, the gradient norms of the first 100', async () => {
  const { pytorch, emu } = JSON.parse(await readFile(join(folder, 'curve.json'), 'utf8')) as CurveFile;
  for (const [name, values] of Object.entries(pytorch)) {
    expect(values).toHaveLength(200);
    // The norm of the gradient feels a difference in the weights first; see docs/training.md for the steps after these.
    const compared = name === 'grad_norm' ? values.slice(0, 100) : values;
    for (const [step, value] of compared.entries()) {
      const ours = emu[name as keyof Curve][step] ?? NaN;
      expect(Math.abs(ours / value - 1), `${name}, step ${step + 1}`).toBeLessThan(0.01);
    }
  }
});
