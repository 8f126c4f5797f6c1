import { EmuError, type Shape } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { matchTensors } from './check.js';
import type { TensorEntry, TensorFile } from './tensor-source.js';

function file(shapes: Readonly<Record<string, Shape>>): TensorFile {
  const entries = new Map<string, TensorEntry>();
  for (const [name, shape] of Object.entries(shapes)) {
    entries.set(name, { name, dtype: 'f32', shape, file: 'x.pt', byteOffset: 0 });
  }
  return { path: 'x.pt', format: 'torch', entries, metadata: {}, ignored: [] };
}

describe('matchTensors', () => {
  it('returns what is expected and passes over what is ignored', () => {
    const found = matchTensors(file({ a: [2], 'x.inv_freq': [5] }), [{ name: 'a', shape: [2] }], {
      ignored: [/\.inv_freq$/],
    });
    expect([...found.keys()]).toEqual(['a']);
  });

  it('lists everything that is wrong in one error', () => {
    const expected = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, shape: [2, 3] }));
    let error: unknown;
    try {
      matchTensors(file({ a: [3, 2], g: [1], h: [] }), expected);
    } catch (caught) {
      error = caught;
    }
    if (!EmuError.isInstance(error)) throw new Error('no EmuError');
    expect(error.code).toBe('CHECKPOINT_CORRUPT');
    expect(error.message).toBe(
      '[weights] x.pt: the tensors are not those of the configured model: ' +
        '5 missing: "b" [2,3], "c" [2,3], "d" [2,3], "e" [2,3], and 1 more; ' +
        '2 unexpected: "g" [1], "h" []; 1 mis-shaped: "a" is [3,2], [2,3] is needed',
    );
    expect(error.details).toMatchObject({
      missing: expected.slice(1),
      unexpected: [
        { name: 'g', shape: [1] },
        { name: 'h', shape: [] },
      ],
      misshaped: [{ name: 'a', needed: [2, 3], found: [3, 2] }],
    });
  });
});
