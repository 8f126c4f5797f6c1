import { describe, expect, it } from 'vitest';

import { bytesAccess, type RandomAccess } from './random-access.js';
import {
  checkedElementCount,
  isRowMajor,
  readTensorFrom,
  rowMajorStrides,
  stridedSpan,
} from './tensor-source.js';

function counted(bytes: Uint8Array): { access: RandomAccess; reads: number[] } {
  const reads: number[] = [];
  const inner = bytesAccess(bytes);
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    reads.push(length);
    return inner.read(offset, length);
  };
  return { access: { size: bytes.length, read }, reads };
}

describe('strides', () => {
  it('of row-major order', () => {
    expect(rowMajorStrides([2, 3, 4])).toEqual([12, 4, 1]);
    expect(rowMajorStrides([])).toEqual([]);
    expect(isRowMajor([2, 1, 4], [4, 99, 1])).toBe(true);
    expect(isRowMajor([2, 3], [1, 2])).toBe(false);
    expect(isRowMajor([0, 3], [7, 7])).toBe(true);
  });

  it('span from the first to one past the last element', () => {
    expect(stridedSpan([3, 2], [1, 3])).toBe(6);
    expect(stridedSpan([2, 2], [0, 1])).toBe(2);
    expect(stridedSpan([0, 5], [5, 1])).toBe(0);
    expect(stridedSpan([], [])).toBe(1);
  });

  it('counts stop at 2^53', () => {
    expect(checkedElementCount([2 ** 26, 2 ** 26])).toBe(2 ** 52);
    expect(checkedElementCount([2 ** 27, 2 ** 27])).toBeUndefined();
    expect(checkedElementCount([2 ** 27, 2 ** 27, 0])).toBeUndefined();
    expect(checkedElementCount([0, 2 ** 52, 2 ** 52])).toBe(0);
  });
});

describe('readTensorFrom', () => {
  const side = 1000;
  const values = Float32Array.from({ length: side * side }, (_, i) => i);
  const bytes = new Uint8Array(values.buffer);

  it('reads a transposed matrix by going through the file once', async () => {
    const { access, reads } = counted(bytes);
    const shape = [side, side];
    const entry = { name: 'w', dtype: 'f32', shape, file: 'x', byteOffset: 0, strides: [1, side] } as const;
    const { data } = await readTensorFrom(access, entry);
    expect(data[1]).toBe(side);
    expect(data.every((value, i) => Number(value) === (i % side) * side + Math.floor(i / side))).toBe(true);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBe(bytes.length);
  });

  it('reads a sparse column without the rest', async () => {
    const { access, reads } = counted(bytes);
    const shape = [100];
    const entry = {
      name: 'w',
      dtype: 'f32',
      shape,
      file: 'x',
      byteOffset: 40,
      strides: [10 * side],
    } as const;
    const { data } = await readTensorFrom(access, entry);
    expect([...data.slice(0, 3)]).toEqual([10, 10_010, 20_010]);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBe(400);
  });

  it.each([
    [
      'too short a file',
      { shape: [side, side + 1] },
      'tensor "w" ends at byte 4004000, the file has 4000000',
    ],
    [
      'a strided end beyond it',
      { shape: [2], strides: [side * side] },
      'ends at byte 4000004, the file has 4000000',
    ],
    ['over 2 GiB', { shape: [2 ** 30] }, 'has 4294967296 bytes, at most 2147483648 are read at once'],
  ])('refuses %s before it takes memory', async (_, change, message) => {
    const entry = { name: 'w', dtype: 'f32', file: 'x', byteOffset: 0, ...change } as const;
    await expect(readTensorFrom(bytesAccess(bytes), entry)).rejects.toThrow(message);
  });

  it('says so when the file becomes shorter meanwhile', async () => {
    const access: RandomAccess = { size: 8, read: () => Promise.resolve(new Uint8Array(5)) };
    const entry = { name: 'w', dtype: 'f32', shape: [2], file: 'x', byteOffset: 0 } as const;
    await expect(readTensorFrom(access, entry)).rejects.toThrow(
      'a tensor needs 8 bytes at 0, only 5 could be read',
    );
  });
});
