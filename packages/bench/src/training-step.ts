import { readFileSync } from 'node:fs';

import { elementCount, Philox, type Backend } from '@emu/program';
import { optimizerSettings, programParameters, TrainingSession, type TrainedModel } from '@emu/sdk/train';

import type { TrainingCase } from './training-cases.js';

/** A training step made ready: weights drawn, programs compiled at the first step. */
export interface PreparedStep {
  /** Gradients to zero, forward, backward, gradient norm, AdamW: what the trainer does in a step; gives the loss. */
  step(): Promise<number>;
  dispose(): Promise<void>;
}

const learningRate = 1e-4;

/** The step of a case in a session of the trainer itself. */
export async function prepareStep(
  { name, program, inputs, recompute }: TrainingCase,
  backend: Backend,
  threads?: number,
): Promise<PreparedStep> {
  const parameters = programParameters([program]);
  const model: TrainedModel = { name, parameters, program: () => program, initial: drawn(parameters) };
  const settings = optimizerSettings(
    { learning_rate: learningRate, weight_decay: 0.05, parameter_rules: [] },
    parameters,
  );
  const session = TrainingSession.open(backend, model, settings, {
    recompute,
    averageDecay: 0,
    ...(threads !== undefined && { threads }),
  });
  await session.loadInitial();
  const batch = {
    program: name,
    inputs: inputs(),
    counts: { samples: 0, tokens: 0, images: 0 },
    label: name,
  };
  let step = 0;
  return {
    async step() {
      step += 1;
      await session.startStep();
      const { loss } = await session.accumulate(batch);
      const squares = await session.gradientSquares();
      const norm = Math.sqrt([...squares.values()].reduce((sum, value) => sum + value, 0));
      const gradientScale = Math.min(1, 1 / (norm + 1e-6));
      await session.update({
        scheduleFactor: 1,
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-6,
        step,
        gradientScale,
      });
      return loss ?? NaN;
    },
    dispose: () => session.dispose(),
  };
}

/** Small normal numbers, ones for norms: a step from them has gradients of ordinary size. */
function drawn(parameters: TrainedModel['parameters']): TrainedModel['initial'] {
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  const random = new Philox(11);
  const block = Float32Array.from({ length: 1 << 16 }, () => 0.02 * random.nextNormal());
  return (name) => {
    const shape = shapes.get(name) ?? [];
    const data = new Float32Array(elementCount(shape));
    if (shape.length === 1) data.fill(name.endsWith('weight') ? 1 : 0);
    else for (let at = 0; at < data.length; at++) data[at] = block[at % block.length] ?? 0;
    return { kind: 'data', dtype: 'f32', data };
  };
}

/** Most memory that this process ever held, in bytes; undefined where the system does not tell. */
export function peakBytes(): number | undefined {
  try {
    const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : 1024 * Number(kibibytes);
  } catch {
    return undefined;
  }
}
