import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  activation,
  add,
  bf16ToNumber,
  concat,
  definitionOf,
  elementCount,
  gatedActivation,
  logSoftmax,
  multiply,
  numberToBf16,
  permute,
  ReferenceBackend,
  reshape,
  rmsNorm,
  scale,
  slice,
  trace,
  type Program,
  type Value,
} from './index.js';
import { opCases } from './testing/op-cases.js';
import { evaluate } from './testing/evaluate.js';

/** A step of a random program: from a value to another; numbers choose what fits its shape. */
type Step = (x: Value, pick: (limit: number) => number) => Value;

const steps: readonly Step[] = [
  (x) => activation(x, 'silu'),
  (x) => scale(x, { factor: 0.5, offset: 1 }),
  (x) => add(x, x),
  (x) => multiply(x, activation(x, 'relu')),
  (x) => gatedActivation(x, x, 'gelu'),
  (x, pick) => permute(x, rotated(x.shape.length, pick(x.shape.length))),
  (x, pick) => concat([x, x], pick(x.shape.length)),
  (x, pick) => {
    const axis = pick(x.shape.length);
    const start = pick(x.side(axis));
    return slice(x, { axis, start, length: 1 + pick(x.side(axis) - start) });
  },
  (x) => reshape(x, [-1, x.side(-1)]),
  (x) => reshape(x, [1, ...x.shape].slice(0, 8)),
  (x) => logSoftmax(x),
  (x) => rmsNorm(x, scale(reshape(slice(reshape(x, [-1]), { axis: 0, start: 0, length: x.side(-1) }), [x.side(-1)]), {}), { epsilon: 1 }),
]; // prettier-ignore

function rotated(count: number, by: number): number[] {
  return Array.from({ length: count }, (_, axis) => (axis + by) % count);
}

function randomProgram(shape: readonly number[], choices: readonly (readonly [number, number])[]): Program {
  return trace('random', (t) => {
    let x = t.input('x', shape);
    for (const [step, seed] of choices) {
      if (elementCount(x.shape) > 500) break;
      let draws = 0;
      const pick = (limit: number): number => (seed * 31 + draws++ * 17) % Math.max(1, limit);
      x = (steps[step % steps.length] as Step)(x, pick);
    }
    t.output('y', x);
  });
}

describe('a program', () => {
  it('makes every value once, before it is used, and runs to the shape it says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(steps.length - 1), fc.nat(1000)), { maxLength: 8 }),
        async (shape, choices) => {
          const program = randomProgram(shape, choices);
          const made = new Set<number>(program.inputs.map((input) => input.value));
          for (const call of program.calls) {
            expect(call.inputs.every((id) => id !== null && made.has(id))).toBe(true);
            for (const id of call.outputs) {
              expect(made.has(id)).toBe(false);
              made.add(id);
            }
          }
          expect(made.size).toBe(program.values.length);
          const session = new ReferenceBackend().openSession();
          const x = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i));
          const { y } = await session.compile(program).run({ x });
          const output = program.values[program.outputs[0]?.value ?? -1];
          expect(y).toHaveLength(elementCount(output?.shape ?? []));
          await session.dispose();
        },
      ),
      { numRuns: 300, seed: 11 },
    );
  });

  it('is refused with both sides when one side of a good call is changed', () => {
    // Every op's cases with one side, dtype or input of the tested call changed: either the rule still holds, or it
    // refuses; it never lets a crash through and never changes its mind.
    const calls = opCases().map(({ program }) => ({ program, call: program.calls.at(-1) }));
    fc.assert(
      fc.property(
        fc.constantFrom(...calls),
        fc.nat(10),
        fc.nat(10),
        fc.constantFrom(-1, 0, 1, 2, 3, 1000, null, 'i32', 'bf16', 'drop'),
        ({ program, call }, at, axis, change) => {
          if (call === undefined) return;
          const types = call.inputs.map((id) => (id === null ? null : (program.values[id] ?? null)));
          const index = at % types.length;
          const type = types[index];
          if (change === 'drop') types.pop();
          else if (change === null) types[index] = null;
          else if (type && typeof change === 'string') types[index] = { ...type, dtype: change as 'i32' };
          else if (type && type.shape.length > 0) {
            types[index] = { ...type, shape: type.shape.with(axis % type.shape.length, Number(change)) };
          }
          const infer = (): unknown => definitionOf(call.op).infer(types, call.attributes);
          let first: unknown;
          try {
            first = infer();
          } catch (error) {
            expect(error).toMatchObject({ name: 'EmuError' });
            expect((error as Error).message).toMatch(new RegExp(`^\\[${call.op}\\] .+`));
            return;
          }
          expect(infer()).toEqual(first);
        },
      ),
      { numRuns: 3000, seed: 3 },
    );
  });
});

describe('identities of ops', () => {
  it('a permutation and its inverse, a concat and its slices, give back every element', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
        fc.nat(100),
        async (shape, seed) => {
          const axes = rotated(shape.length, seed % shape.length);
          if (seed % 2 === 1) axes.reverse();
          const inverse = axes.map((_, axis) => axes.indexOf(axis));
          const axis = seed % shape.length;
          const x = Float32Array.from({ length: elementCount(shape) }, (_, i) => i);
          const back = await evaluate((t) => {
            const turned = permute(permute(t.input('x', shape), axes), inverse);
            const joined = concat([scale(turned, { factor: 0 }), turned], axis);
            return slice(joined, { axis, start: turned.side(axis), length: turned.side(axis) });
          }, { x }); // prettier-ignore
          expect(back).toEqual(x);
        },
      ),
      { numRuns: 200, seed: 5 },
    );
  });

  it('rounding to bf16 takes the nearer neighbour, the even one of two', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const bits = numberToBf16(value);
        const rounded = bf16ToNumber(bits);
        if (!Number.isFinite(rounded)) {
          expect(Math.abs(value)).toBeGreaterThan(3.38e38);
          return;
        }
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = bf16ToNumber(neighbour & 0xffff);
          if (!Number.isFinite(other) || Math.sign(other) === -Math.sign(rounded)) continue;
          const [distance, otherDistance] = [Math.abs(value - rounded), Math.abs(value - other)];
          expect(distance).toBeLessThanOrEqual(otherDistance);
          if (distance === otherDistance && rounded !== other) expect(bits % 2).toBe(0);
        }
      }),
      { numRuns: 2000, seed: 2 },
    );
  });
});
