import { describe, expect, it } from 'vitest';
import { embedding, gradient, linear, print, rmsNorm, sumTo, trace, trainable } from '../index.js';

const program = trace('model', (t) => {
  const x = embedding(t.weight('table', [5, 4], 'bf16'), t.input('ids', [3], 'i32'));
  const normal = rmsNorm(x, t.weight('norm', [4]), { epsilon: 1e-5 });
  const logits = t.block('head', () => linear(normal, t.weight('table', [5, 4], 'bf16')));
  t.output('loss', sumTo(linear(logits, t.weight('frozen', [2, 5], 'bf16')), [1]));
});

describe('trainable', () => {
  it('turns weights into f32 states, rounded where bf16 was wanted', () => {
    expect(print(trainable(program, { states: (name) => name !== 'frozen' }))).toMatchInlineSnapshot(`
      "emu-program 1 "model"
      input %0 i32[3] "ids"
      weight %3 bf16[2,5] linear "frozen"
      state %1 f32[5,4] "table"
      state %2 f32[4] "norm"
      call cast(%1) {dtype="bf16"} -> %4 bf16[5,4]
      call embedding(%4, %0) {} -> %5 f32[3,4]
      call rmsNorm(%5, %2) {epsilon=0.00001} -> %6 f32[3,4]
      call cast(%1) {dtype="bf16"} -> %7 bf16[5,4]
      call linear(%6, %7, _, _) {activation="none"} -> %8 f32[3,5]
      call linear(%8, %3, _, _) {activation="none"} -> %9 f32[3,2]
      call sumTo(%9) {shape=[1]} -> %10 f32[1]
      output %10 "loss"
      "
    `);
  });

  it('keeps blocks, with the casts of what they read', () => {
    const trained = trainable(program, { states: ['table'] });
    expect(program.blocks).toEqual([{ name: 'head', begin: 2, end: 3 }]);
    expect(trained.blocks).toEqual([{ name: 'head', begin: 3, end: 5 }]);
  });

  it('is differentiated by its states', () => {
    const step = gradient(trainable(program, { states: ['table', 'norm'] }), {
      loss: 'loss',
      of: ['table', 'norm'],
      into: 'states',
    });
    expect(step.states.map(({ name }) => name)).toEqual(['table', 'norm', 'gradient.table', 'gradient.norm']);
    // The look-up and the projection each add to the gradient of the table they share.
    expect(step.calls.map(({ op }) => op).filter((op) => op.startsWith('accumulate'))).toHaveLength(3);
  });

  it('refuses a name that is not a weight', () => {
    expect(() => trainable(program, { states: ['norms'] })).toThrow(
      '[trainable] model has no weight "norms"',
    );
  });
});
