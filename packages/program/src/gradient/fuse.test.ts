import { describe, expect, it } from 'vitest';
import { add } from '../ops/add.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { linear } from '../ops/linear.js';
import { multiply } from '../ops/multiply.js';
import { rmsNorm } from '../ops/rms-norm.js';
import { sumTo } from '../ops/sum-to.js';
import type { Program } from '../program.js';
import { ReferenceBackend } from '../reference.js';
import { trace, type Tracer, type Value } from '../trace.js';
import { gradient } from './gradient.js';
import { trainable } from './trainable.js';

const names = ['head', 'inner', 'norm'];
const [R, D, V] = [6, 4, 9];

/** A norm, a product and a head with a weighted cross-entropy; `loss` makes f32[1] of the losses f32[R] and the logits. */
function model(
  loss: (t: Tracer, losses: Value, logits: Value) => Value,
  dtype: 'f32' | 'bf16' = 'f32',
): Program {
  const program = trace('model', (t) => {
    const x = linear(t.input('x', [R, D]), t.weight('inner', [D, D], dtype));
    const normed = rmsNorm(x, t.weight('norm', [D]), { epsilon: 1e-5 });
    const logits = linear(normed, t.weight('head', [V, D], dtype));
    const losses = crossEntropy(logits, t.input('target', [R], 'i32'));
    t.output('loss', loss(t, losses, logits));
  });
  return trainable(program, { states: names });
}

const weighted = (t: Tracer, losses: Value): Value => sumTo(multiply(losses, t.input('weight', [R])), [1]);

const opsOf = (program: Program): readonly string[] => program.calls.map(({ op }) => op);

const inputs = {
  x: Float32Array.from({ length: R * D }, (_, i) => Math.sin(i)),
  target: Int32Array.of(0, 8, -100, 3, 3, 5),
  weight: Float32Array.of(0.5, 1, 2, 0.25, 1, 1),
};

async function gradientsOf(
  program: Program,
  into: 'states' | 'outputs',
): Promise<readonly (readonly number[])[]> {
  const step = gradient(program, { loss: 'loss', of: names, into });
  const session = new ReferenceBackend().openSession();
  for (const { name, value } of step.states) {
    const { shape } = program.values[value] ?? { shape: [] };
    const own = step.values[value]?.shape ?? shape;
    session.createState(name, own, 'f32');
    const count = own.reduce((product, side) => product * side, 1);
    const values = Float32Array.from({ length: count }, (_, i) => Math.cos(3 * i + count));
    if (!name.startsWith('gradient.')) await session.writeState(name, values);
  }
  const outputs = await session.compile(step).run(inputs);
  const found: unknown[] = [];
  for (const name of names) {
    const key = `gradient.${name}`;
    found.push(into === 'states' ? await session.readState(key) : outputs[key]);
  }
  return [outputs['loss'], ...found].map((values) => [...(values as Float32Array)]);
}

describe('a head and its backward pass as one call', () => {
  it.each(['f32', 'bf16'] as const)(
    'gives the gradients of the calls that it stands for, %s',
    async (dtype) => {
      const program = model(weighted, dtype);
      const ops = opsOf(gradient(program, { loss: 'loss', of: names, into: 'states' }));
      expect(ops).toContain('linearCrossEntropyWithGradients');
      expect(ops).not.toContain('crossEntropyGradient');
      const [fused, apart] = [await gradientsOf(program, 'states'), await gradientsOf(program, 'outputs')];
      const digits = dtype === 'f32' ? 6 : 2;
      fused.forEach((values, which) => {
        values.forEach((value, i) => {
          expect(value).toBeCloseTo(apart[which]?.[i] ?? NaN, digits);
        });
      });
    },
  );

  it.each([
    [
      'the loss weighs losses by themselves',
      (_t: Tracer, losses: Value) => sumTo(multiply(losses, losses), [1]),
    ],
    [
      'something else reads the logits',
      (t: Tracer, losses: Value, logits: Value) => add(weighted(t, losses), sumTo(logits, [1])),
    ],
  ])('stays apart where %s', (_when, loss) => {
    const ops = opsOf(gradient(model(loss), { loss: 'loss', of: names, into: 'states' }));
    expect(ops).not.toContain('linearCrossEntropyWithGradients');
    expect(ops).toContain('crossEntropyGradient');
  });

  it('stays apart where the weight is frozen', () => {
    const step = gradient(model(weighted), { loss: 'loss', of: ['inner', 'norm'], into: 'states' });
    expect(opsOf(step)).toContain('crossEntropyGradient');
  });
});

describe('products that are added to states', () => {
  it('are added by the call that makes them', () => {
    const step = gradient(model(weighted), { loss: 'loss', of: names, into: 'states' });
    const [inner] = step.calls.filter(({ op }) => op === 'accumulateMatmul');
    expect(step.states.find(({ value }) => value === inner?.inputs[0])?.name).toBe('gradient.inner');
    expect(step.values.filter(({ shape }) => shape.join() === `${D},${D}`)).toHaveLength(3);
  });
});
