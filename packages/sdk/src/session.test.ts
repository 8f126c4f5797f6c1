import { add, ReferenceBackend, trace, type Program } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { readModelFiles } from './node-model.js';
import { LoadedModel } from './session.js';
import { referenceExists, referencePath } from './testing/reference-data.js';

/** Doubles a vector of a length that no other program of the test has. */
function doubled(length: number): Program {
  return trace(`doubled.${length}`, (t) => {
    const x = t.input('x', [length]);
    t.output('y', add(x, x));
  });
}

describe.skipIf(!referenceExists)('compiled programs of a model', () => {
  let model: LoadedModel;
  beforeAll(async () => {
    const files = await readModelFiles(referencePath('checkpoint'));
    model = await LoadedModel.open(files, new ReferenceBackend(), { preload: [] });
  });
  afterAll(() => model.dispose());

  const compiled = (length: number) => model.compiled(`doubled/${length}`, () => doubled(length));

  it('are kept while they are used, and closed when others have taken their place', async () => {
    const [used, unused] = [compiled(1), compiled(2)];
    const running = unused.run({ x: Float32Array.of(1, 2) });
    for (let length = 3; length < 60; length++) {
      compiled(length);
      expect(compiled(1)).toBe(used);
    }
    expect((await running)['y']).toEqual(Float32Array.of(2, 4));
    await expect(unused.run({ x: Float32Array.of(1, 2) })).rejects.toThrow('has been closed');
    const again = compiled(2);
    expect(again).not.toBe(unused);
    expect((await again.run({ x: Float32Array.of(3, 4) }))['y']).toEqual(Float32Array.of(6, 8));
  });
});
