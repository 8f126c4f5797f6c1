import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists } from '../testing/reference-data.js';
import { referenceEntries } from '../testing/reference-model.js';
import { checkpointComponents } from './components.js';
import type { EmuConfig } from './config.js';

const instruct: EmuConfig = {
  visual: referenceConfig.visual,
  causalTransformer: referenceConfig.causalTransformer,
  llama: {
    ...referenceConfig.llama,
    vocabulary: 32006,
    lora: { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
  },
};

describe.skipIf(!referenceExists)('what a checkpoint must hold', () => {
  it.each([
    ...checkpointComponents(referenceConfig).map((component) => ({ file: component.name, component })),
    ...checkpointComponents(instruct).map((component) => ({ file: 'instruct' as const, component })),
  ])('is exactly what the official one holds: $file', async ({ file, component }) => {
    const entries = await referenceEntries(file);
    const stored = [...entries].map(([name, { shape }]) => ({ name, shape }));
    const isUnused = (name: string) => component.unused.some((pattern) => pattern.test(name));
    const texts = (tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]) =>
      tensors.map(({ name, shape }) => `${name} [${shape.join(',')}]`).sort();
    expect(texts(stored.filter(({ name }) => !isUnused(name)))).toEqual(texts(component.tensors));
  });

  it('has adapters only where the configuration has them', () => {
    const [plain] = checkpointComponents(referenceConfig);
    const [adapted] = checkpointComponents(instruct);
    expect(adapted?.tensors.length).toBe((plain?.tensors.length ?? 0) + 3 * 4 * 2);
  });
});
