import { expect } from 'vitest';

import {
  toFloat32,
  type Backend,
  type Program,
  type Session,
  type Shape,
  type Tensor,
  type TensorData,
} from '@emu/program';

import { canonicalEncoder } from '../weights/canonical-names.js';
import { openTensorFile } from '../weights/open.js';
import { readTensor } from '../weights/read-tensor.js';
import type { TensorEntry } from '../weights/tensor-source.js';
import { referenceBound, referenceFloats, referencePath, relativeDifference } from './reference-data.js';

/* Running a model on a checkpoint of the reference data, and comparing with what the authors' code gave. */

export type ReferenceCheckpoint = 'multimodal' | 'instruct' | 'unet' | 'vae' | 'safetyChecker';

const files: Readonly<Record<ReferenceCheckpoint, string>> = {
  multimodal: 'multimodal_encoder/pytorch_model.bin',
  instruct: 'Emu-instruct.pt',
  unet: 'unet/diffusion_pytorch_model.bin',
  vae: 'vae/diffusion_pytorch_model.bin',
  safetyChecker: 'safety_checker/pytorch_model.bin',
};

/** The tensors of a reference checkpoint under the names that models ask for. */
export async function referenceEntries(
  checkpoint: ReferenceCheckpoint,
): Promise<ReadonlyMap<string, TensorEntry>> {
  const file = await openTensorFile(referencePath(`checkpoint/${files[checkpoint]}`));
  return checkpoint === 'instruct' ? canonicalEncoder(file).file.entries : file.entries;
}

async function checkpointTensor(checkpoint: ReferenceCheckpoint, name: string): Promise<Tensor> {
  const entry = (await referenceEntries(checkpoint)).get(name);
  if (entry === undefined) throw new Error(`the ${checkpoint} checkpoint has no tensor ${name}`);
  return readTensor(entry);
}

/** A tensor of a reference checkpoint as f32. */
export async function checkpointFloats(checkpoint: ReferenceCheckpoint, name: string): Promise<Float32Array> {
  return toFloat32(await checkpointTensor(checkpoint, name));
}

/** A session that holds the weights a program names. */
export async function checkpointSession(
  backend: Backend,
  program: Program,
  checkpoint: ReferenceCheckpoint,
  sessionPrefix = '',
): Promise<Session> {
  const session = backend.openSession();
  const entries = await referenceEntries(checkpoint);
  for (const { name, value, layout } of program.weights) {
    const type = program.values[value];
    const entry = entries.get(name.slice(sessionPrefix.length));
    if (type === undefined || entry === undefined)
      throw new Error(`no tensor ${name} in the ${checkpoint} checkpoint`);
    const { shape, dtype, data } = await readTensor(entry);
    // Trailing sides of 1 aside, so that a 1x1 convolution can be read as the linear layer it is.
    expect(withoutTrailingOnes(shape), name).toEqual(withoutTrailingOnes(type.shape));
    await session.loadWeight({ name, ...type, layout, source: { kind: 'data', dtype, data } });
  }
  return session;
}

function withoutTrailingOnes(shape: Shape): Shape {
  const last = shape.findLastIndex((side) => side !== 1);
  return shape.slice(0, last + 1);
}

/** Compiles and runs a program once with the weights of a checkpoint. */
export async function runOnCheckpoint(
  backend: Backend,
  program: Program,
  checkpoint: ReferenceCheckpoint,
  sessionPrefix: string,
  inputs: Readonly<Record<string, TensorData>>,
): Promise<Record<string, TensorData>> {
  const session = await checkpointSession(backend, program, checkpoint, sessionPrefix);
  try {
    return await session.compile(program).run(inputs, { check: 'finite' });
  } finally {
    await session.dispose();
  }
}

/** ||a-b|| / ||b||; Infinity when the lengths differ or a value is NaN. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const golden = expected[i] ?? NaN;
    difference += ((actual[i] ?? NaN) - golden) ** 2;
    norm += golden ** 2;
  }
  if (Number.isNaN(difference)) return Infinity;
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/** Fails unless `actual` is the golden tensor within the reference's own bound (reference/README.md, How to compare). */
export function expectGolden(actual: TensorData | undefined, file: string, name: string): void {
  if (!(actual instanceof Float32Array)) throw new Error(`no f32 output to compare with ${file} ${name}`);
  const golden = referenceFloats(`goldens/${file}`, name);
  expect(relativeL2(actual, golden), `${name}: ||a-b||/||b||`).toBeLessThanOrEqual(1e-4);
  expect(relativeDifference(actual, golden), `${name}: max|a-b|/max|b|`).toBeLessThanOrEqual(
    referenceBound(file, name),
  );
}
