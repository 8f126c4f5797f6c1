import { describe, expect, it } from 'vitest';
import {
  activation,
  attention,
  cachedAttention,
  cacheWrite,
  cast,
  concat,
  convolution,
  embedding,
  groupNorm,
  layerNorm,
  permute,
  print,
  reshape,
  rmsNorm,
  rotaryEmbedding,
  scale,
  slice,
  trace,
  type Tracer,
  type Value,
} from './index.js';

const lines = (build: (t: Tracer) => Value): string[] =>
  print(
    trace('p', (t) => {
      t.output('y', build(t));
    }),
  )
    .split('\n')
    .filter((line) => line.startsWith('call'));

describe('print', () => {
  it('declares inputs, weights and states before the calls, and outputs last', () => {
    const program = trace('llama.attention', (t) => {
      const [slot, position] = [t.input('slot', [2], 'i32'), t.input('position', [2], 'i32')];
      const where = { slot, position, pageTable: t.input('pageTable', [1, 4], 'i32') };
      const rows = reshape(
        embedding(t.weight('table', [32, 16], 'bf16'), t.input('ids', [2], 'i32')),
        [2, 2, 8],
      );
      const q = rotaryEmbedding(rows, position, { theta: 10000 });
      const keys = cacheWrite(t.state('cache.0.key', [4, 2, 8, 16], 'bf16'), q, { ...where, part: 'keys' });
      const values = cacheWrite(t.state('cache.0.value', [4, 2, 16, 8], 'bf16'), rows, {
        ...where,
        part: 'values',
      });
      t.output('y', cachedAttention(q, keys, values, { ...where, scale: 8 ** -0.5 }));
    });
    expect(print(program)).toBe(
      [
        'emu-program 1 "llama.attention"',
        'input %0 i32[2] "slot"',
        'input %1 i32[2] "position"',
        'input %2 i32[1,4] "pageTable"',
        'input %4 i32[2] "ids"',
        'weight %3 bf16[32,16] plain "table"',
        'state %8 bf16[4,2,8,16] "cache.0.key"',
        'state %10 bf16[4,2,16,8] "cache.0.value"',
        'call embedding(%3, %4) {} -> %5 f32[2,16]',
        'call reshape(%5) {shape=[2,2,8]} -> %6 f32[2,2,8]',
        'call rotaryEmbedding(%6, %1) {theta=10000} -> %7 f32[2,2,8]',
        'call cacheWrite(%8, %7, %0, %1, %2) {part="keys"} -> %9 bf16[4,2,8,16]',
        'call cacheWrite(%10, %6, %0, %1, %2) {part="values"} -> %11 bf16[4,2,16,8]',
        'call cachedAttention(%7, %9, %11, %0, %1, %2) {scale=0.35355339059327373} -> %12 f32[2,2,8]',
        'output %12 "y"',
        '',
      ].join('\n'),
    );
  });

  it('writes every attribute, so that equal calls print alike', () => {
    expect(lines((t) => convolution(t.input('x', [1, 4, 4, 3]), t.weight('w', [8, 3, 3, 3])))).toEqual([
      'call convolution(%0, %1, _, _) {stride=1, padding=[0,0,0,0], activation="none"} -> %2 f32[1,2,2,8]',
    ]);
    expect(
      lines((t) => {
        const x = t.input('x', [1, 4, 2, 8]);
        return attention(x, x, x, { scale: 1 });
      }),
    ).toEqual(['call attention(%0, %0, %0, _) {scale=1, causal=0} -> %1 f32[1,4,2,8]']);
    expect(
      lines((t) =>
        groupNorm(t.input('x', [1, 4, 8]), t.weight('w', [8]), t.weight('b', [8]), {
          groups: 2,
          epsilon: 1e-6,
        }),
      ),
    ).toEqual([
      'call groupNorm(%0, %1, %2) {groups=2, epsilon=0.000001, activation="none"} -> %3 f32[1,4,8]',
    ]);
  });

  it('writes axes from the front, whatever the caller counted from', () => {
    const x = (t: Tracer) => t.input('x', [2, 3, 4]);
    expect(lines((t) => concat([x(t), t.input('z', [2, 3, 1])], -1))[0]).toContain('{axis=2}');
    expect(lines((t) => slice(x(t), { axis: -2, start: -1, length: 1 }))[0]).toContain(
      '{axis=1, start=2, length=1}',
    );
    expect(lines((t) => permute(x(t), [-1, 0, -2]))[0]).toContain('{axes=[2,0,1]}');
    expect(lines((t) => reshape(x(t), [-1, 4]))[0]).toContain('{shape=[6,4]}');
  });

  it('writes numbers so that they read back to the same double', () => {
    for (const epsilon of [1e-5, 1e-7, 0, 1 / 3, 5e-324]) {
      const [line = ''] = lines((t) => rmsNorm(t.input('x', [4]), t.weight('w', [4]), { epsilon }));
      expect(Number(/epsilon=([^}]+)}/.exec(line)?.[1])).toBe(epsilon);
    }
    const [line = ''] = lines((t) => scale(t.input('x', []), { factor: -1e21, offset: -0 }));
    expect(line).toBe('call scale(%0) {factor=-1e+21, offset=0} -> %1 f32[]');
  });

  it('is the same text for the same model code', () => {
    const build = (t: Tracer): Value => {
      const x = layerNorm(t.input('x', [3, 8]), t.weight('w', [8]), t.weight('b', [8]), { epsilon: 1e-5 });
      return cast(activation(x, 'gelu'), 'bf16');
    };
    expect(lines(build)).toEqual(lines(build));
  });

  it('never prints an attribute that would not read back', () => {
    const call = (attributes: Record<string, string | number | number[]>) => () =>
      lines((t) => t.call('add', [t.input('a', [1]), t.input('b', [1])], attributes)[0] as Value);
    expect(call({ note: 'say "hi"' })).toThrow(
      '[add] attribute note = say "hi" cannot be printed in a program',
    );
    expect(call({ note: [1, NaN] })).toThrow('[add] attribute note = 1,NaN cannot be printed in a program');
    expect(call({ 'two words': 1 })).toThrow('[add] attribute two words = 1 cannot be printed in a program');
  });
});
