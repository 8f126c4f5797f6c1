import type { Shape } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { canonicalEncoder, canonicalVae } from './canonical-names.js';
import type { TensorEntry, TensorFile } from './tensor-source.js';

function file(shapes: Readonly<Record<string, Shape>>): TensorFile {
  const entries = new Map<string, TensorEntry>();
  for (const [name, shape] of Object.entries(shapes)) {
    entries.set(name, { name, dtype: 'f32', shape, file: 'x.pt', byteOffset: 0 });
  }
  return { path: 'x.pt', format: 'torch', entries, metadata: {}, ignored: [] };
}

const layer = 'model.layers.0.self_attn.q_proj';

describe('names of the encoder', () => {
  it('lose the prefix of a parallel wrapper when all have it', () => {
    const wrapped = canonicalEncoder(file({ 'module.a': [1], 'module.visual.b': [2] }));
    expect([...wrapped.file.entries.keys()]).toEqual(['a', 'visual.b']);
    expect(wrapped.file.entries.get('a')?.name).toBe('a');
    const partly = canonicalEncoder(file({ 'module.a': [1], b: [2] }));
    expect([...partly.file.entries.keys()]).toEqual(['module.a', 'b']);
  });

  it.each([
    ['peft 0.3', `decoder.lm.base_model.model.${layer}`, '.weight', '.default.weight'],
    ['peft 0.7', `decoder.lm.base_model.model.${layer}`, '.base_layer.weight', '.default.weight'],
    ['peft without an adapter name', `decoder.lm.${layer}`, '.weight', '.weight'],
    ['a parallel wrapper', `module.decoder.lm.base_model.model.${layer}`, '.weight', '.default.weight'],
  ])('are those of Emu-instruct.pt when there are adapters: %s', (_, base, weight, suffix) => {
    const shapes = {
      [base + weight]: [6, 4],
      [`${base}.lora_A${suffix}`]: [2, 4],
      [`${base}.lora_B${suffix}`]: [6, 2],
    };
    const prefix = base.startsWith('module.') ? 'module.' : '';
    const encoder = canonicalEncoder(file({ ...shapes, [`${prefix}decoder.lm.lm_head.weight`]: [9, 4] }), {
      loraAlpha: 8,
    });
    const official = `decoder.lm.base_model.model.${layer}`;
    expect([...encoder.file.entries.keys()].sort()).toEqual([
      'decoder.lm.base_model.model.lm_head.weight',
      `${official}.lora_A.default.weight`,
      `${official}.lora_B.default.weight`,
      `${official}.weight`,
    ]);
    expect(encoder.lora).toEqual({ rank: 2, alpha: 8, targets: ['q_proj'] });
    expect(encoder.adapters.get(`${official}.weight`)).toMatchObject({
      rank: 2,
      alpha: 8,
      b: { shape: [6, 2] },
    });
  });

  it('are plain when a merged model kept the prefix of peft', () => {
    const { file: merged } = canonicalEncoder(
      file({ [`decoder.lm.base_model.model.${layer}.weight`]: [6, 4] }),
    );
    expect([...merged.entries.keys()]).toEqual([`decoder.lm.${layer}.weight`]);
  });

  const base = `decoder.lm.base_model.model.${layer}`;
  const [a, b] = [`${base}.lora_A.default.weight`, `${base}.lora_B.default.weight`];
  it.each([
    [
      'half an adapter',
      { [`${base}.weight`]: [6, 4], [a]: [2, 4] },
      'A is [2,4], B is missing, the weight is [6,4]',
    ],
    ['no weight', { [a]: [2, 4], [b]: [6, 2] }, 'the weight is missing'],
    [
      'other ranks in a pair',
      { [`${base}.weight`]: [6, 4], [a]: [2, 4], [b]: [6, 3] },
      'A is [2,4], B is [6,3]',
    ],
    [
      'the wrong way round',
      { [`${base}.weight`]: [6, 4], [a]: [4, 2], [b]: [2, 6] },
      'A is [4,2], B is [2,6]',
    ],
    ['rank 0', { [`${base}.weight`]: [6, 4], [a]: [0, 4], [b]: [6, 0] }, 'A is [0,4], B is [6,0]'],
    [
      'another adapter',
      { [`${base}.lora_A.other.weight`]: [2, 4] },
      'has the adapter "other"; only "default" is read',
    ],
    [
      'both spellings',
      { [`${base}.weight`]: [6, 4], [`${base}.base_layer.weight`]: [6, 4] },
      'two tensors stand for',
    ],
    [
      'an adapter elsewhere',
      { 'visual.x.weight': [6, 4], 'visual.x.lora_A.weight': [2, 4], 'visual.x.lora_B.weight': [6, 2] },
      'has an adapter of "visual.x.weight"',
    ],
    [
      'ranks that differ between layers',
      {
        ...{ [`${base}.weight`]: [6, 4], [a]: [2, 4], [b]: [6, 2] },
        ...{ 'decoder.lm.k_proj.weight': [6, 4], 'decoder.lm.k_proj.lora_A.weight': [1, 4] },
        'decoder.lm.k_proj.lora_B.weight': [6, 1],
      },
      'its adapters have different ranks: 2, 1',
    ],
  ])('are refused with %s', (_, shapes, message) => {
    expect(() => canonicalEncoder(file(shapes))).toThrow(message);
    expect(() => canonicalEncoder(file(shapes))).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }) as Error,
    );
  });

  it('need an alpha above 0', () => {
    for (const loraAlpha of [0, -1, NaN, Infinity]) {
      expect(() => canonicalEncoder(file({}), { loraAlpha })).toThrow(
        `[weights] loraAlpha must be a number above 0, ${loraAlpha} came`,
      );
    }
  });
});

describe('names of the VAE', () => {
  const block = 'decoder.mid_block.attentions.0';
  it('are those of diffusers 0.15 for either spelling', () => {
    const newer = {
      [`${block}.to_q.weight`]: [4, 4],
      [`${block}.to_k.bias`]: [4],
      [`${block}.to_out.0.weight`]: [4, 4, 1, 1],
    };
    const { entries } = canonicalVae(
      file({ ...newer, [`${block}.group_norm.weight`]: [4], 'conv_in.weight': [4, 4, 1, 1] }),
    );
    expect(Object.fromEntries([...entries].map(([name, { shape }]) => [name, shape]))).toEqual({
      [`${block}.query.weight`]: [4, 4],
      [`${block}.key.bias`]: [4],
      [`${block}.proj_attn.weight`]: [4, 4],
      [`${block}.group_norm.weight`]: [4],
      'conv_in.weight': [4, 4, 1, 1],
    });
    const older = canonicalVae(file({ [`${block}.query.weight`]: [4, 4] }));
    expect([...older.entries.keys()]).toEqual([`${block}.query.weight`]);
  });

  it('may not come in both spellings', () => {
    const both = { [`${block}.query.weight`]: [4, 4], [`${block}.to_q.weight`]: [4, 4] };
    expect(() => canonicalVae(file(both))).toThrow(`two tensors stand for "${block}.query.weight"`);
  });
});
