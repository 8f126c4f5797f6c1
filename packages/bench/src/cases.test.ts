import { programFlops } from '@emu/sdk/models';
import { add, linear, trace } from '@emu/program';
import { describe, expect, test } from 'vitest';

import { unitOf, valueOf, type BenchCase } from './bench-case.js';
import { kernelCases } from './kernel-cases.js';
import { modelCases } from './model-cases.js';

const cases: readonly BenchCase[] = [...kernelCases(), ...(await modelCases())];

function caseNamed(name: string): BenchCase {
  const found = cases.find((benchCase) => benchCase.name === name);
  if (found === undefined) throw new Error(`no case is called ${name}`);
  return found;
}

describe('list of cases', () => {
  test('has the sizes of Emu, each matrix case in f32 and bf16', () => {
    const names = cases.map(({ name }) => name);
    const inBoth = (name: (dtype: string) => string): string[] => ['f32', 'bf16'].map(name);
    const linears = ['512x512x512', '2048x2048x2048', '512x5120x13824', '1x5120x13824', '32x5120x13824'];
    const expected = [
      ...linears.flatMap((sizes) => inBoth((dtype) => `linear ${dtype} ${sizes}`)),
      'attention causal f32 S=512 32x128',
      'attention causal f32 S=2048 32x128',
      'attention vision f32 S=257 16x88',
      ...inBoth((dtype) => `convolution ${dtype} 3x3 [2,64,64,320]->320`),
      'program call overhead',
      ...inBoth((dtype) => `ViT-g forward ${dtype} 1x224x224`),
      ...inBoth((dtype) => `decoder layer 13B ${dtype} prefill 512`),
      ...inBoth((dtype) => `decoder layer 13B ${dtype} decode at 512`),
      ...inBoth((dtype) => `U-Net step SD-1.5 ${dtype} guided 512x512`),
    ];
    expect(names).toEqual(expect.arrayContaining(expected));
    expect(new Set(names).size).toBe(names.length);
  });

  test('every case is of the suite that --suite picks and, but for the call, known to the peers', () => {
    for (const { name, suite, peer } of cases) {
      expect(suite).toBe(/^(ViT|decoder|U-Net)/.test(name) ? 'model' : 'kernels');
      expect(peer === undefined).toBe(name === 'program call overhead');
    }
  });
});

describe('work of a case', () => {
  test('a program of two products counts both, and nothing for what is cheap', () => {
    const program = trace('two products', (t) => {
      const hidden = linear(t.input('x', [3, 4]), t.weight('w1', [5, 4]));
      t.output('y', linear(add(hidden, hidden), t.weight('w2', [2, 5])));
    });
    expect(programFlops(program)).toBe(2 * 3 * 4 * 5 + 2 * 3 * 5 * 2);
  });

  test.each([
    'linear f32 512x512x512',
    'convolution bf16 3x3 [2,8,8,1280]->1280',
    'attention vision f32 S=257 16x88',
  ])('%s: the case and its program count alike', (name) => {
    const { work, program } = caseNamed(name);
    expect(work).toMatchObject({ kind: 'flops', amount: programFlops(program()) });
  });

  test('one row waits for its weights: the bytes of the matrix', () => {
    expect(caseNamed('linear bf16 1x5120x13824').work).toEqual({
      kind: 'bytes',
      amount: 2 * 5120 * 13824,
      dtype: 'bf16',
    });
  });

  test('values are rates, of a call its microseconds', () => {
    const flops = { kind: 'flops', amount: 4e9, dtype: 'f32' } as const;
    const call = { kind: 'call', runs: 10, targetMicroseconds: 20 } as const;
    expect([unitOf(flops), valueOf(flops, 2)]).toEqual(['GFLOP/s', 2]);
    expect([unitOf({ ...flops, kind: 'bytes' }), valueOf({ ...flops, kind: 'bytes' }, 0.5)]).toEqual([
      'GB/s',
      8,
    ]);
    expect([unitOf(call), valueOf(call, 5e-6)]).toEqual(['us', 5]);
  });
});
