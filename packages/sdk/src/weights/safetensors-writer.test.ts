import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bf16ToNumber } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { openTensorFile } from './open.js';
import { readTensor } from './read-tensor.js';
import { writeSafetensors, type TensorToWrite } from './safetensors-writer.js';

describe('tensors that are computed while they are written', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'emu-writer-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const computed = (
    changes: Partial<TensorToWrite> & { pieces: () => Iterable<Float32Array> },
  ): TensorToWrite => ({
    name: 'w',
    dtype: 'f32',
    shape: [5],
    ...changes,
  });
  const threeAndTwo = () => [Float32Array.of(1, 2, 3), Float32Array.of(4, 5)];

  it('are the pieces in order, in the type asked for', async () => {
    const path = join(folder, 'model.safetensors');
    const half = computed({ name: 'half', dtype: 'bf16', pieces: threeAndTwo });
    await writeSafetensors(path, [computed({ pieces: threeAndTwo }), half]);
    const { entries } = await openTensorFile(path);
    const valuesOf = async (name: string) => {
      const entry = entries.get(name);
      if (!entry) throw new Error(`no ${name}`);
      return Array.from((await readTensor(entry)).data, Number);
    };
    expect(await valuesOf('w')).toEqual([1, 2, 3, 4, 5]);
    expect((await valuesOf('half')).map(bf16ToNumber)).toEqual([1, 2, 3, 4, 5]);
  });

  it('must be as long as their shape says, and leave nothing behind if they are not', async () => {
    const place = join(folder, 'wrong');
    const path = `${place}.safetensors`;
    await expect(writeSafetensors(path, [computed({ shape: [6], pieces: threeAndTwo })])).rejects.toThrow(
      '[safetensors] tensor "w" is f32[6], 6 elements; 5 were computed',
    );
    await expect(writeSafetensors(path, [computed({ shape: [4], pieces: threeAndTwo })])).rejects.toThrow(
      '[safetensors] tensor "w" is f32[4], 4 elements; more were computed',
    );
    expect((await readdir(folder)).filter((name) => name.startsWith('wrong'))).toEqual([]);
  });

  it('are floats', async () => {
    const attempt = writeSafetensors(join(folder, 'whole.safetensors'), [
      computed({ dtype: 'i32', pieces: threeAndTwo }),
    ]);
    await expect(attempt).rejects.toThrow('tensor "w" is computed as f32 and cannot be written as i32');
  });
});

describe('tensors that are read when their turn comes', () => {
  it('are written in parts whose sum is the file, and must be as long as their shape', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emu-writer-'));
    try {
      const path = join(folder, 'model.safetensors');
      const values = Float32Array.from({ length: 300_000 }, (_, index) => index);
      const tensor = (length: number): TensorToWrite => ({
        name: 'w',
        dtype: 'f32',
        shape: [length],
        read: () => Promise.resolve(values),
      });
      const parts: Uint8Array[] = [];
      const bytes = await writeSafetensors(path, [tensor(300_000)], { onBytes: (part) => parts.push(part) });
      expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(2 ** 20);
      expect(Buffer.concat(parts).equals(await readFile(path))).toBe(true);
      expect(bytes).toBe((await stat(path)).size);
      await expect(writeSafetensors(path, [tensor(5)])).rejects.toThrow(
        '[safetensors] tensor "w" is f32[5], 20 bytes; 1200000 were read',
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
