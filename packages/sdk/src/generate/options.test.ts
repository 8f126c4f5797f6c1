import { describe, expect, it } from 'vitest';

import { nearestName } from './option-checks.js';
import {
  configuredDefaults,
  pictureSettings,
  seedInUse,
  textSettings as settingsWith,
  type GenerateOptions,
} from './options.js';

const textSettings = (call: GenerateOptions, configured: GenerateOptions) =>
  settingsWith(call, configured, () => []);

describe('defaults', () => {
  it('are the call, then generation_config.json, then those of the authors', () => {
    expect(textSettings({}, {}).method).toEqual({ kind: 'beams', numBeams: 5, lengthPenalty: 0 });
    const configured = configuredDefaults({ num_beams: 1, max_new_tokens: 20, bos_token_id: 1, top_k: 50 });
    expect(textSettings({}, configured)).toMatchObject({ method: { kind: 'greedy' }, maxNewTokens: 20 });
    expect(textSettings({ numBeams: 3, maxNewTokens: 7 }, configured)).toMatchObject({
      method: { kind: 'beams', numBeams: 3 },
      maxNewTokens: 7,
    });
    expect(textSettings({ numBeams: undefined } as never, configured).method).toEqual({ kind: 'greedy' });
  });

  it('are for text alone where they are beams or candidates: pictures come between single tokens', () => {
    const files = [{ num_beams: 5 }, { penalty_alpha: 0.6, top_k: 4 }, {}];
    for (const file of files) {
      const { method } = textSettings({ output: 'interleaved' }, configuredDefaults(file));
      expect(method).toEqual({ kind: 'greedy' });
    }
    expect(() => textSettings({ output: 'interleaved', numBeams: 2 }, {})).toThrow(
      'output "interleaved" and numBeams cannot be used together',
    );
  });

  it('have room for the longest choice and the end after it', () => {
    const encode = (text: string): readonly number[] => Array.from(text, Number);
    const choices = ['12', '1'.repeat(70)];
    expect(settingsWith({ choices }, {}, encode)).toMatchObject({ maxNewTokens: 71, isMaxGiven: true });
    expect(settingsWith({ choices, maxNewTokens: 70 }, {}, encode).maxNewTokens).toBe(70);
    expect(() => settingsWith({ choices, maxNewTokens: 69 }, {}, encode)).toThrow(
      'the longest of choices has 70 tokens, maxNewTokens is 69',
    );
  });

  it('draw only when asked to', () => {
    const sampled = { kind: 'sample', sampling: { temperature: 1, topK: 0, topP: 0.9 } };
    expect(textSettings({ temperature: 1 }, {}).method).toEqual(sampled);
    expect(textSettings({ topP: 0.9 }, {}).method).toEqual(sampled);
    expect(textSettings({ topP: 0.9, temperature: 0 }, {}).method.kind).toBe('beams');
    // transformers ignores temperature and top_p without do_sample.
    expect(textSettings({}, configuredDefaults({ temperature: 0.7, top_p: 0.5 })).method.kind).toBe('beams');
    const drawn = configuredDefaults({ do_sample: true, temperature: 0.7 });
    expect(textSettings({}, drawn).method).toMatchObject({ sampling: { temperature: 0.7 } });
    expect(textSettings({ penaltyAlpha: 0.6, topK: 4 }, {}).method).toEqual({
      kind: 'contrastive',
      penaltyAlpha: 0.6,
      topK: 4,
    });
  });

  it('of a broken generation_config.json are refused with its name', () => {
    expect(() => configuredDefaults({ num_beams: 'many' })).toThrow(
      '[generation_config.json] numBeams must be a whole number in 1..128, got "many"',
    );
  });

  it('of pictures are the size the decoder was trained for', () => {
    const settings = pictureSettings({}, {}, { side: 512, scale: 8 });
    expect(settings).toMatchObject({
      width: 512,
      height: 512,
      steps: 50,
      guidanceScale: 7.5,
      safetyChecker: 'black',
    });
  });
});

describe('names', () => {
  it('that are near are found', () => {
    const known = ['maxNewTokens', 'temperature', 'topK'];
    expect(nearestName('max_new_tokens', known)).toBe('maxNewTokens');
    expect(nearestName('temprature', known)).toBe('temperature');
    expect(nearestName('somethingElse', known)).toBeUndefined();
  });
});

describe('seeds', () => {
  it('are kept, or drawn below 2^53', () => {
    expect(seedInUse(0)).toBe(0);
    expect(seedInUse(2n ** 63n)).toBe(2n ** 63n);
    const drawn = Array.from({ length: 20 }, () => seedInUse(undefined));
    for (const seed of drawn) expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
    expect(new Set(drawn).size).toBe(20);
  });
});
