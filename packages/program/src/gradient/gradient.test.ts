import { describe, expect, it } from 'vitest';
import {
  accumulate,
  add,
  attention,
  cachedAttention,
  cast,
  embedding,
  gradient,
  linear,
  multiply,
  print,
  ReferenceBackend,
  reshape,
  rmsNorm,
  scale,
  slice,
  stopGradient,
  sumTo,
  trace,
  zeroGradients,
  type GradientOptions,
  type Program,
  type Session,
  type Tensor,
  type TensorData,
  type Tracer,
  type Value,
} from '../index.js';
import { runCase } from '../testing/op-case.js';

const floats = (...values: number[]): Float32Array => Float32Array.from(values);
const tensor = (shape: readonly number[], ...values: number[]): Tensor => ({
  shape,
  dtype: 'f32',
  data: floats(...values),
});

/** A program whose output `loss` is the sum of what `build` returns. */
function summed(build: (t: Tracer) => Value): Program {
  return trace('p', (t) => {
    t.output('loss', sumTo(build(t), [1]));
  });
}

function run(
  program: Program,
  inputs: Readonly<Record<string, TensorData>> = {},
  weights: Readonly<Record<string, Tensor>> = {},
): Promise<Readonly<Record<string, TensorData>>> {
  const tolerance = { absolute: 0, relative: 0, reason: 'not compared' };
  return runCase(new ReferenceBackend(), { name: 'p', op: 'program', program, inputs, weights, tolerance });
}

const outputsOf = (program: Program, ...of: string[]): Program =>
  gradient(program, { loss: 'loss', of, into: 'outputs' });

describe('gradient', () => {
  it('keeps the outputs and adds one for each name, from a program that prints', () => {
    const program = summed((t) => {
      const x = t.input('x', [2, 3]);
      return linear(x, t.weight('w', [4, 3]), { bias: t.weight('b', [4]), activation: 'silu' });
    });
    expect(print(outputsOf(program, 'w', 'b'))).toMatchInlineSnapshot(`
      "emu-program 1 "p.gradient"
      input %0 f32[2,3] "x"
      weight %1 f32[4,3] linear "w"
      weight %2 f32[4] plain "b"
      call linear(%0, %1, %2, _) {activation="none"} -> %3 f32[2,4]
      call activation(%3) {activation="silu"} -> %4 f32[2,4]
      call sumTo(%4) {shape=[1]} -> %5 f32[1]
      call fill() {shape=[1], value=1} -> %6 f32[1]
      call fill() {shape=[2,4], value=0} -> %7 f32[2,4]
      call add(%7, %6) {} -> %8 f32[2,4]
      call activationGradient(%3, %8) {activation="silu"} -> %9 f32[2,4]
      call matmul(%9, %0) {transposeA=1, transposeB=0, precision="f32"} -> %10 f32[4,3]
      call sumTo(%9) {shape=[4]} -> %11 f32[4]
      output %5 "loss"
      output %10 "gradient.w"
      output %11 "gradient.b"
      "
    `);
  });

  it('adds up what comes from several uses of a value', async () => {
    // loss = Σ (x² + 3x) · w
    const program = summed((t) => {
      const [x, w] = [t.input('x', [2]), t.weight('w', [2])];
      return add(multiply(multiply(x, x), w), multiply(scale(x, { factor: 3 }), w));
    });
    const got = await run(outputsOf(program, 'x', 'w'), { x: floats(2, -1) }, { w: tensor([2], 5, 7) });
    expect(got['loss']).toEqual(floats(5 * 10 + 7 * -2));
    expect(got['gradient.x']).toEqual(floats(5 * 7, 7 * 1));
    expect(got['gradient.w']).toEqual(floats(10, -2));
  });

  it('counts a weight that is read in two layouts as one', async () => {
    // A token table that is also the output projection: loss = Σ over rows of row · tableᵀ.
    const program = summed((t) => {
      const table = t.weight('table', [3, 2]);
      return linear(embedding(table, t.input('ids', [1], 'i32')), table);
    });
    expect(program.weights.map(({ layout }) => layout)).toEqual(['plain', 'linear']);
    const table = tensor([3, 2], 1, 2, 3, 4, 5, 6);
    const got = await run(outputsOf(program, 'table'), { ids: Int32Array.of(1) }, { table });
    // Row 1 looks at every row, itself included; each row gets row 1, and row 1 the sum of all rows besides.
    expect(got['gradient.table']).toEqual(floats(3, 4, 3 + 9, 4 + 12, 3, 4));
  });

  it('is zeros where the loss does not depend on a value', async () => {
    const program = trace('p', (t) => {
      const x = t.input('x', [2]);
      const unused = t.weight('unused', [3]);
      t.output('aside', scale(unused, { factor: 2 }));
      t.output('loss', sumTo(add(x, stopGradient(t.input('stopped', [2]))), [1]));
      t.weight('unread', [1]);
    });
    const got = await run(
      outputsOf(program, 'x', 'unused', 'unread', 'stopped'),
      { x: floats(1, 2), stopped: floats(3, 4) },
      { unused: tensor([3], 1, 2, 3), unread: tensor([1], 1) },
    );
    expect(got).toEqual({
      aside: floats(2, 4, 6),
      loss: floats(10),
      'gradient.x': floats(1, 1),
      'gradient.unused': floats(0, 0, 0),
      'gradient.unread': floats(0),
      'gradient.stopped': floats(0, 0),
    });
  });

  it('prunes what nobody needs: no gradients of frozen weights, no dead calls', () => {
    const program = summed((t) => {
      const hidden = linear(t.input('x', [2, 3]), t.weight('frozen', [4, 3]));
      scale(hidden, { factor: 9 });
      return linear(hidden, t.weight('w', [1, 4]));
    });
    const { calls, weights } = outputsOf(program, 'w');
    expect(calls.map(({ op }) => op)).toEqual(['linear', 'linear', 'sumTo', 'fill', 'fill', 'add', 'matmul']);
    // Nothing flows back through the frozen weight, so it is read in one layout.
    expect(weights.map(({ name, layout }) => `${name} ${layout}`)).toEqual(['frozen linear', 'w linear']);
  });

  it('joins the cuts of one value instead of padding and adding them', () => {
    const program = summed((t) => {
      const joint = linear(t.input('x', [1, 2, 4]), t.weight('w', [12, 4]));
      const [q, k, v] = [0, 4, 8].map((start) =>
        reshape(slice(joint, { axis: 2, start, length: 4 }), [1, 2, 2, 2]),
      ) as [Value, Value, Value];
      return attention(q, k, v, { scale: 1 });
    });
    const ops = outputsOf(program, 'w').calls.map(({ op }) => op);
    expect(ops.filter((op) => op === 'concat')).toHaveLength(1);
    // What sumTo's own rule spreads the loss with is the only fill and add.
    expect(ops.filter((op) => op === 'add')).toHaveLength(1);
  });

  it('rounds gradients through bf16 weights as the forward product does', async () => {
    const program = (dtype: 'f32' | 'bf16') =>
      summed((t) => linear(t.input('x', [2, 2]), t.weight('w', [2, 2], dtype)));
    const { calls } = outputsOf(program('bf16'), 'x', 'w');
    expect(
      calls.filter(({ op }) => op === 'matmul').map(({ attributes }) => attributes['precision']),
    ).toEqual(['bf16', 'bf16']);
    const inputs = { x: floats(1, 2 ** -10 + 1, -3, 0.5) };
    const exact = await run(outputsOf(program('f32'), 'x', 'w'), inputs, { w: tensor([2, 2], 1, 2, 3, 4) });
    const w: Tensor = { shape: [2, 2], dtype: 'bf16', data: Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080) };
    const rounded = await run(outputsOf(program('bf16'), 'x', 'w'), inputs, { w });
    expect(rounded['gradient.x']).toEqual(exact['gradient.x']);
    expect(exact['gradient.w']).toEqual(floats(-2, 1.5 + 2 ** -10, -2, 1.5 + 2 ** -10));
    expect(rounded['gradient.w']).toEqual(floats(-2, 1.5, -2, 1.5));
  });
});

describe('gradient into states', () => {
  const options: GradientOptions = { loss: 'loss', of: ['w', 'unused'], into: 'states' };
  const program = summed((t) => {
    const w = t.state('w', [2]);
    t.state('unused', [1]);
    return multiply(multiply(w, w), t.input('x', [2]));
  });

  const opened = async (of: Program): Promise<Session> => {
    const session = new ReferenceBackend().openSession();
    for (const { name, value } of of.states) session.createState(name, of.values[value]?.shape ?? [], 'f32');
    await session.writeState('w', floats(3, 4));
    return session;
  };

  it('accumulates over runs and starts again at zero', async () => {
    const step = gradient(program, options);
    const session = await opened(step);
    await session.writeState('gradient.w', floats(NaN, Infinity));
    const [run, clear] = [session.compile(step), session.compile(zeroGradients(step))];
    await clear.run({});
    expect(await run.run({ x: floats(1, 2) })).toEqual({ loss: floats(9 + 32) });
    expect(await session.readState('gradient.w')).toEqual(floats(6, 16));
    await run.run({ x: floats(10, 0) });
    expect(await session.readState('gradient.w')).toEqual(floats(66, 16));
    expect(await session.readState('gradient.unused')).toEqual(floats(0));
    await clear.run({});
    expect(await session.readState('gradient.w')).toEqual(floats(0, 0));
    expect(await session.readState('w')).toEqual(floats(3, 4));
    await session.dispose();
  });
});

describe('recomputation', () => {
  const layered = trace('layers', (t) => {
    let x = t.input('x', [3, 8]);
    for (const layer of [0, 1, 2]) {
      x = t.block(`layer${layer}`, () => {
        const normal = rmsNorm(x, t.weight(`norm${layer}`, [8]), { epsilon: 1e-5 });
        const wide = linear(normal, t.weight(`up${layer}`, [16, 8]), { activation: 'gelu' });
        return linear(wide, t.weight(`down${layer}`, [8, 16]), { residual: x });
      });
    }
    t.output('hidden', x);
    t.output('loss', sumTo(multiply(x, x), [1]));
  });
  const of = ['x', ...[0, 1, 2].flatMap((layer) => [`norm${layer}`, `up${layer}`, `down${layer}`])];

  it('gives the same bits and keeps only what crosses borders', async () => {
    const [kept, again] = [false, true].map((recompute) =>
      gradient(layered, { loss: 'loss', of, into: 'outputs', recompute }),
    ) as [Program, Program];
    const pattern = (count: number): number[] =>
      Array.from({ length: count }, (_, i) => Math.sin(i * i + count));
    const weights = Object.fromEntries(
      kept.weights.map(({ name, value }) => {
        const shape = kept.values[value]?.shape ?? [];
        return [name, tensor(shape, ...pattern(shape.reduce((a, b) => a * b, 1)))];
      }),
    );
    const inputs = { x: floats(...pattern(24)) };
    expect(await run(again, inputs, weights)).toEqual(await run(kept, inputs, weights));
    const linears = ({ calls }: Program): number => calls.filter(({ op }) => op === 'linear').length;
    expect([linears(kept), linears(again)]).toEqual([6, 9]);
    // Wide values are read last before the backward pass of their block has begun to compute its own.
    expect(wideValuesAcrossTheMiddle(kept)).toBe(3);
    expect(wideValuesAcrossTheMiddle(again)).toBe(0);
  });

  it('holds no value that costs little to compute again, with blocks or without', () => {
    const counts = [false, true].map((recompute) => {
      const { calls } = gradient(layered, { loss: 'loss', of, into: 'outputs', recompute });
      return ['activation', 'rmsNorm'].map((name) => calls.filter(({ op }) => op === name).length);
    });
    expect(counts).toEqual([
      [6, 6],
      [6, 6],
    ]);
  });

  it('casts a declared value again, and holds a cast of anything else', () => {
    const rounded = trace('rounded', (t) => {
      const x = t.input('x', [4, 4]);
      const y = linear(x, cast(t.weight('w', [4, 4]), 'bf16'));
      t.output('loss', sumTo(linear(y, cast(cast(linear(y, t.weight('v', [4, 4])), 'bf16'), 'f32')), [1]));
    });
    const casts = ({ calls }: Program): number => calls.filter(({ op }) => op === 'cast').length;
    expect(casts(rounded)).toBe(3);
    // That of w once more, for the gradient of x.
    expect(casts(gradient(rounded, { loss: 'loss', of: ['x', 'w'], into: 'outputs' }))).toBe(4);
  });

  /** Values [3,16] that are made before the loss and read after it. */
  function wideValuesAcrossTheMiddle({ calls, values, outputs }: Program): number {
    const loss = outputs.find(({ name }) => name === 'loss')?.value ?? -1;
    const middle = calls.findIndex((call) => call.outputs.includes(loss));
    const before = new Set(calls.slice(0, middle).flatMap((call) => call.outputs));
    const after = new Set(calls.slice(middle + 1).flatMap((call) => call.inputs));
    return [...before].filter((id) => after.has(id) && values[id]?.shape.join() === '3,16').length;
  }

  it('takes the outermost of blocks that lie in one another', () => {
    const nested = trace('nested', (t) => {
      const y = t.block('outer', () => {
        const inner = t.block('inner', () => linear(t.input('x', [1, 2]), t.weight('a', [2, 2])));
        return linear(inner, t.weight('b', [2, 2]));
      });
      t.output('loss', sumTo(y, [1]));
    });
    expect(nested.blocks).toEqual([
      { name: 'inner', begin: 0, end: 1 },
      { name: 'outer', begin: 0, end: 2 },
    ]);
    const { calls } = gradient(nested, { loss: 'loss', of: ['a', 'b'], into: 'outputs', recompute: true });
    // The value between the two blocks is computed twice.
    expect(calls.filter(({ op }) => op === 'linear')).toHaveLength(3);
  });
});

describe('gradient refuses', () => {
  const program = trace('model', (t) => {
    const x = t.input('x', [2]);
    t.input('ids', [2], 'i32');
    t.output('wide', x);
    t.output('loss', sumTo(multiply(x, t.weight('w', [2])), [1]));
  });
  const asking = (options: Partial<GradientOptions>) => () =>
    gradient(program, { loss: 'loss', of: ['w'], into: 'outputs', ...options });

  it('names that are not there, given twice or of integers', () => {
    expect(asking({ of: ['v'] })).toThrow('[gradient] model has no state, weight or input "v"');
    expect(asking({ of: ['w', 'w'] })).toThrow('[gradient] "w" of model is asked for twice');
    expect(asking({ of: ['ids'] })).toThrow(
      '[gradient] "ids" of model is i32[2], and only f32 and bf16 have gradients',
    );
  });

  it('a loss that is not there or not one number', () => {
    expect(asking({ loss: 'lost' })).toThrow('[gradient] model has no output "lost"');
    expect(asking({ loss: 'wide' })).toThrow('[gradient] loss "wide" of model is f32[2], needs f32[1]');
  });

  it('ops without a gradient on the way, saying why', () => {
    const cached = summed((t) => {
      const index = t.input('i', [1], 'i32');
      const where = { slot: index, position: index, pageTable: t.input('p', [1, 1], 'i32'), scale: 1 };
      const cache = t.state('cache', [1, 1, 1, 1]);
      return cachedAttention(t.input('q', [1, 1, 1]), cache, cache, where);
    });
    expect(() => outputsOf(cached, 'q')).toThrow(
      '[gradient] cachedAttention in p has no gradient: used at inference only',
    );
  });

  it('a way over a state that the program changes, whichever of its values is read', () => {
    const changed = summed((t) => {
      const [state, x] = [t.state('s', [2]), t.input('x', [2])];
      accumulate(state, x);
      return multiply(state, x);
    });
    expect(() => outputsOf(changed, 'x')).toThrow(
      '[gradient] multiply in p works on state "s", which the program changes in place',
    );
  });
});
