import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  add,
  cachePageCopy,
  definitionOf,
  EmuError,
  embedding,
  linear,
  opNames,
  print,
  reshape,
  trace,
  type AttributeValue,
  type DType,
  type Program,
} from './index.js';

describe('trace', () => {
  it('refuses names that a printed program cannot hold', () => {
    const named = (name: string) => () =>
      trace('p', (t) => {
        t.output('y', t.input(name, [1]));
      });
    expect(named('a"b')).toThrow('[trace] input name "a\\"b" cannot be printed in a program');
    expect(named('')).toThrow('[trace] input name "" cannot be printed in a program');
    expect(named('line\nbreak')).toThrow('cannot be printed');
    expect(() => trace('', () => undefined)).toThrow(
      '[trace] program name "" cannot be printed in a program',
    );
  });

  it('refuses a second input or output of one name, and a weight asked for again with another type', () => {
    expect(() =>
      trace('p', (t) => {
        t.input('x', [1]);
        t.input('x', [1]);
      }),
    ).toThrow('[trace] input "x" is declared twice in p');
    expect(() =>
      trace('p', (t) => {
        t.output('y', t.input('x', [1]));
        t.output('y', t.input('z', [1]));
      }),
    ).toThrow('[trace] output "y" is declared twice in p');
    expect(() =>
      trace('p', (t) => {
        t.weight('w', [2, 3]);
        t.weight('w', [3, 2]);
      }),
    ).toThrow('[trace] "w" is f32[2,3], asked for again as f32[3,2]');
  });

  it('refuses a value of another program, and a program that does nothing', () => {
    let stray: Parameters<typeof add>[0] | undefined;
    trace('first', (t) => {
      t.output('y', (stray = t.input('x', [2])));
    });
    expect(() =>
      trace('second', (t) => {
        t.output('y', add(t.input('x', [2]), stray as Parameters<typeof add>[0]));
      }),
    ).toThrow('[trace] %0 f32[2] belongs to another program');
    expect(() => trace('idle', (t) => void t.input('x', [2]))).toThrow(
      '[trace] program idle has no output and changes no state',
    );
  });

  it('refuses shapes that no backend holds', () => {
    const shaped = (shape: number[]) => () =>
      trace('p', (t) => {
        t.output('y', t.input('x', shape));
      });
    expect(shaped([2, -1])).toThrow('[trace] side -1 in [2,-1] is not a size');
    expect(shaped([1.5])).toThrow('[trace] side 1.5 in [1.5] is not a size');
    expect(shaped([2 ** 22, 2 ** 22])).toThrow('[trace] f32[4194304,4194304] has 2^46 bytes or more');
    expect(shaped([1, 1, 1, 1, 1, 1, 1, 1, 1])).toThrow('[trace] [1,1,1,1,1,1,1,1,1] has 9 axes, at most 8');
  });

  it('keeps its own copy of a shape', () => {
    const shape = [2, 3];
    const program = trace('p', (t) => {
      const x = t.input('x', shape);
      shape[0] = 99;
      t.output('y', reshape(x, [6]));
    });
    expect(program.values.map((type) => type.shape)).toEqual([[2, 3], [6]]);
  });

  it('binds a weight once for each layout in which it is read', () => {
    const program = trace('tied', (t) => {
      const table = t.weight('table', [9, 4]);
      const x = embedding(table, t.input('ids', [2], 'i32'));
      t.output('logits', linear(x, table));
      t.output('again', linear(x, t.weight('table', [9, 4])));
    });
    expect(print(program)).toBe(
      [
        'emu-program 1 "tied"',
        'input %1 i32[2] "ids"',
        'weight %0 f32[9,4] plain "table"',
        'weight %3 f32[9,4] linear "table"',
        'call embedding(%0, %1) {} -> %2 f32[2,4]',
        'call linear(%2, %3, _, _) {activation="none"} -> %4 f32[2,9]',
        'call linear(%2, %3, _, _) {activation="none"} -> %5 f32[2,9]',
        'output %4 "logits"',
        'output %5 "again"',
        '',
      ].join('\n'),
    );
  });

  it('updates states only, and what is their memory', () => {
    expect(() =>
      trace('p', (t) => {
        const pages = t.input('pages', [1], 'i32');
        t.output('y', cachePageCopy(t.input('cache', [1, 1, 1, 1]), { from: pages, to: pages }));
      }),
    ).toThrow('[cachePageCopy] input 0 %1 f32[1,1,1,1] is not a state');
    const program = trace('chain', (t) => {
      const pages = t.input('pages', [1], 'i32');
      const flat = reshape(t.state('cache', [2, 4]), [2, 1, 2, 2]);
      cachePageCopy(cachePageCopy(flat, { from: pages, to: pages }), { from: pages, to: pages });
    });
    expect(program.calls.map((call) => call.op)).toEqual(['reshape', 'cachePageCopy', 'cachePageCopy']);
  });
});

const dtypes: readonly DType[] = ['f64', 'f32', 'f16', 'bf16', 'i64', 'i32', 'u8', 'bool'];
const side = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 4 }) },
  fc.constantFrom(-1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 53, Number.MAX_VALUE),
);
const shape = fc.array(side, { maxLength: 9 });
const dtype = fc.oneof(
  { weight: 4, arbitrary: fc.constant<DType>('f32') },
  { weight: 2, arbitrary: fc.constant<DType>('i32') },
  fc.constantFrom(...dtypes),
);
const attributeNames =
  'activation axes axis causal dtype epsilon factor groups height length offset padding scale shape start stride theta width'.split(
    ' ',
  );
const attributeValue: fc.Arbitrary<AttributeValue> = fc.oneof(
  fc.constantFrom<AttributeValue>('none', 'gelu', 'f32', 'bf16', 'toString', '__proto__', ''),
  fc.integer({ min: -1, max: 4 }),
  fc.double(),
  fc.array(fc.oneof(fc.integer({ min: -1, max: 3 }), fc.double()), { maxLength: 5 }),
);
const attributes = fc
  .array(fc.tuple(fc.constantFrom(...attributeNames), attributeValue), { maxLength: 12 })
  .map((entries) => Object.fromEntries(entries));

describe('any call on any shapes', () => {
  it('either writes a program that holds together or is an EmuError that names its place', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...opNames()),
        fc.array(fc.option(fc.tuple(shape, dtype), { freq: 8 }), { maxLength: 6 }),
        attributes,
        (op, types, given) => {
          let program: Program;
          try {
            program = trace('any', (t) => {
              const inputs = types.map((type, i) => type && t.state(`s${i}`, type[0], type[1]));
              t.output('y', t.call(op, inputs, given)[0] as Parameters<typeof add>[0]);
            });
          } catch (error) {
            expect(EmuError.isInstance(error)).toBe(true);
            const { code, message } = error as EmuError;
            expect(['TENSOR_SHAPE_MISMATCH', 'INVALID_OPTION']).toContain(code);
            expect(message.startsWith(`[${op}] `) || message.startsWith('[trace] ')).toBe(true);
            return;
          }
          const [call] = program.calls;
          const inputTypes =
            call?.inputs.map((id) => (id === null ? null : (program.values[id] ?? null))) ?? [];
          const inferred = definitionOf(op).infer(inputTypes, call?.attributes ?? {});
          expect(call?.outputs.map((id) => program.values[id])).toEqual(inferred);
          for (const line of print(program).trimEnd().split('\n')) {
            expect(line).toMatch(/^(emu-program|input|weight|state|call|output) [^\n]*$/);
          }
        },
      ),
      { numRuns: 4000, seed: 7 },
    );
  });
});
