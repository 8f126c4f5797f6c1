import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  add,
  convolution,
  elementCount,
  EmuError,
  linear,
  ReferenceBackend,
  trace,
  type Backend,
  type DType,
  type Program,
  type Shape,
  type WeightRequest,
} from '@emu/program';
import { afterAll, describe, expect, it } from 'vitest';

import { CpuBackend } from './index.js';

const folder = mkdtempSync(join(tmpdir(), 'emu-weights-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const reference = new ReferenceBackend({
  readFile: async (path, offset, length) => {
    const file: FileHandle = await open(path);
    try {
      const bytes = new Uint8Array(length);
      await file.read(bytes, 0, length, offset);
      return bytes;
    } finally {
      await file.close();
    }
  },
});

const sizes: Readonly<Partial<Record<DType, number>>> = { f64: 8, f32: 4, f16: 2, bf16: 2 };

/** Values around 1 as little-endian bytes of a dtype; of the halves every 37th finite pattern. */
function storedBytes(dtype: DType, count: number): Uint8Array {
  const bytes = new Uint8Array(count * (sizes[dtype] ?? 0));
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const value = Math.sin(i * 0.7) * 1.5 + i * 1e-4;
    if (dtype === 'f64') view.setFloat64(i * 8, value, true);
    else if (dtype === 'f32') view.setFloat32(i * 4, value, true);
    else if (dtype === 'bf16') {
      view.setFloat32(0, value, true);
      const high = view.getUint16(2, true);
      view.setUint16(i * 2, high, true);
    } else {
      // Half floats up to 2 and, at every 16th place, subnormal ones, of both signs.
      const magnitude = i % 16 === 0 ? (i * 37) % 0x400 : (i * 37) % 0x4000;
      view.setUint16(i * 2, magnitude | (i % 2 ? 0x8000 : 0), true);
    }
  }
  // The first value was overwritten as scratch of bf16.
  if (dtype === 'bf16') view.setUint16(0, 0x3f80, true);
  return bytes;
}

let files = 0;
function fileOf(bytes: Uint8Array, byteOffset: number): string {
  const path = join(folder, `weights-${files++}`);
  const content = new Uint8Array(byteOffset + bytes.length).fill(0xa5);
  content.set(bytes, byteOffset);
  writeFileSync(path, content);
  return path;
}

async function outputOf(backend: Backend, request: WeightRequest, program: Program): Promise<Float32Array> {
  const session = backend.openSession({ threads: 2 });
  try {
    await session.loadWeight(request);
    const inputs = program.inputs.map(({ name, value }) => {
      const count = elementCount(program.values[value]?.shape ?? []);
      return [name, Float32Array.from({ length: count }, (_, index) => ((index * 5) % 7) - 3)] as const;
    });
    return (await session.compile(program).run(Object.fromEntries(inputs)))['y'] as Float32Array;
  } finally {
    await session.dispose();
  }
}

/** One program for each layout; with plain weights the sum shows every element as it is. */
const programs = {
  plain: (shape: Shape) =>
    trace('plain', (t) => {
      t.output('y', add(t.input('x', shape), t.weight('w', shape)));
    }),
  linear: (shape: Shape, dtype: 'f32' | 'bf16') =>
    trace('linear', (t) => {
      t.output('y', linear(t.input('x', [2, shape[1] ?? 0]), t.weight('w', shape, dtype)));
    }),
  convolution: (shape: Shape, dtype: 'f32' | 'bf16') =>
    trace('convolution', (t) => {
      const x = t.input('x', [1, 5, 4, shape[1] ?? 0]);
      t.output('y', convolution(x, t.weight('w', shape, dtype), { padding: 1 }));
    }),
} as const;

const stored = ['f64', 'f32', 'f16', 'bf16'] as const;
// No op adds a bf16 weight.
const targets = { plain: ['f32'], linear: ['f32', 'bf16'], convolution: ['f32', 'bf16'] } as const;
const cases = (['plain', 'linear', 'convolution'] as const).flatMap((layout) =>
  stored.flatMap((from) => targets[layout].map((to) => ({ layout, from, to }))),
);

function relativeError(ours: Float32Array, theirs: Float32Array): number {
  const norm = (values: Iterable<number>): number =>
    Math.sqrt([...values].reduce((sum, v) => sum + v * v, 0));
  return norm(ours.map((value, index) => value - (theirs[index] ?? NaN))) / norm(theirs);
}

describe('weights from files', () => {
  it.each(cases)('$layout: stored $from, wanted $to', async ({ layout, from, to }) => {
    const shape = layout === 'convolution' ? [19, 3, 3, 3] : [37, 21];
    const program = programs[layout](shape, to);
    const bytes = storedBytes(from, elementCount(shape));
    // Transposed matrices and kernels, and everything at odd offsets.
    const transposed = shape.length === 2 ? [1, 37] : [1, 19 * 9, 19 * 3, 19];
    for (const strides of [undefined, transposed]) {
      for (const byteOffset of [0, 1, 6, 64]) {
        const source = { kind: 'file', path: fileOf(bytes, byteOffset), byteOffset, dtype: from } as const;
        const request = {
          name: 'w',
          shape,
          dtype: to,
          layout,
          source: strides ? { ...source, strides } : source,
        };
        const ours = await outputOf(new CpuBackend(), request, program);
        const theirs = await outputOf(reference, request, program);
        if (layout === 'plain') expect(ours).toEqual(theirs);
        else expect(relativeError(ours, theirs)).toBeLessThan(1e-6);
      }
    }
  });

  it('a large plain tensor stays in the mapped file and has the same values', async () => {
    const shape = [1024, 300];
    const program = programs.plain(shape);
    const path = fileOf(storedBytes('f32', elementCount(shape)), 64);
    for (const byteOffset of [64, 60]) {
      const source = { kind: 'file', path, byteOffset, dtype: 'f32' } as const;
      const request = { name: 'w', shape, dtype: 'f32', layout: 'plain', source } as const;
      const ours = await outputOf(new CpuBackend(), request, program);
      // Compared as bytes: what lies before the tensor need not be a number.
      const theirs = await outputOf(reference, request, program);
      expect(Buffer.from(ours.buffer).equals(Buffer.from(theirs.buffer))).toBe(true);
    }
  });
});

describe('a bad weight file', () => {
  const request = (path: string, byteOffset = 0): WeightRequest => ({
    name: 'w',
    shape: [300, 300],
    dtype: 'f32',
    layout: 'linear',
    source: { kind: 'file', path, byteOffset, dtype: 'f32' },
  });
  const failure = async (asked: WeightRequest): Promise<string> => {
    const session = new CpuBackend().openSession({ threads: 1 });
    try {
      await session.loadWeight(asked);
      return 'loaded';
    } catch (error) {
      const { code, message } = EmuError.from(error);
      return `${code}: ${message}`;
    } finally {
      await session.dispose();
    }
  };

  it('that is truncated, or too short for its offset, is CHECKPOINT_CORRUPT with both numbers', async () => {
    const path = fileOf(storedBytes('f32', 90_000), 0);
    expect(await failure(request(path))).toBe('loaded');
    const needed = 'CHECKPOINT_CORRUPT: [weights] "w" needs 360000 bytes, ';
    expect(await failure(request(path, 4))).toBe(`${needed}359996 are there`);
    expect(await failure(request(path, 2 ** 40))).toBe(`${needed}${360_000 - 2 ** 40} are there`);
    expect(await failure(request(path, -4))).toContain(needed);
    truncateSync(path, 359_999);
    expect(await failure(request(path))).toBe(`${needed}359999 are there`);
    truncateSync(path, 0);
    expect(await failure(request(path))).toBe(`${needed}0 are there`);
  });

  it('that is no file is refused', async () => {
    expect(await failure(request(join(folder, 'none')))).toMatch(
      /\[weights\] .*none cannot be opened: No such file/,
    );
    expect(await failure(request(folder))).toContain('is not a regular file');
    expect(await failure(request('/dev/zero'))).toContain('is not a regular file');
  });

  it('is not read beyond by strides', async () => {
    const path = fileOf(storedBytes('f32', 90_000), 0);
    const source = { kind: 'file', path, byteOffset: 0, dtype: 'f32' } as const;
    const strided = (strides: readonly number[]): WeightRequest => ({
      ...request(path),
      source: { ...source, strides },
    });
    expect(await failure(strided([1, 300]))).toBe('loaded');
    expect(await failure(strided([301, 1]))).toContain('"w" needs 361196 bytes, 360000 are there');
    for (const strides of [[-300, 1], [1], [2 ** 62, 2 ** 62]]) {
      expect(await failure(strided(strides)), String(strides)).toContain('has strides that do not fit');
    }
  });
});
