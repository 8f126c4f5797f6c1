import { performance } from 'node:perf_hooks';

import {
  activation,
  adamw,
  adamwHyper,
  add,
  EmuError,
  gradient,
  rmsNorm,
  scale,
  sumOfSquares,
  trace,
  trainable,
  linear,
  type Program,
  type Session,
  type TensorType,
} from '@emu/program';
import { afterEach, describe, expect, it } from 'vitest';

import { CpuBackend } from './index.js';

const sessions: Session[] = [];
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.dispose()));
});

/** A session with the states of the programs, zeroed. */
function openWithStates(...programs: readonly Program[]): Session {
  const session = new CpuBackend().openSession({ threads: 1 });
  sessions.push(session);
  const made = new Set<string>();
  for (const program of programs) {
    for (const { name, value } of program.states) {
      if (made.has(name)) continue;
      made.add(name);
      const { shape, dtype } = program.values[value] as TensorType;
      session.createState(name, shape, dtype);
    }
  }
  return session;
}

async function bestOf(trials: number, run: () => unknown): Promise<number> {
  let best = Infinity;
  for (let trial = 0; trial < trials; trial++) {
    const start = performance.now();
    await run();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const [width, rows] = [16, 4];

/** A deep network with many small layers, the loss of which is the sum of the squares of its output. */
function network(layers: number): Program {
  const forward = trace(`${layers} layers`, (t) => {
    let x = t.input('x', [rows, width]);
    for (let layer = 0; layer < layers; layer++) {
      const normal = rmsNorm(x, t.weight(`${layer}.norm`, [width]), { epsilon: 1e-5 });
      const wide = activation(linear(normal, t.weight(`${layer}.up`, [width, width])), 'silu');
      x = add(x, linear(wide, t.weight(`${layer}.down`, [width, width])));
    }
    t.output('loss', sumOfSquares(x));
  });
  return trainable(forward, { states: forward.weights.map((weight) => weight.name) });
}

describe('a program of thousands of calls and hundreds of states', () => {
  it('is planned in a moment and spends little on each call', async () => {
    const forward = network(200);
    const of = forward.states.map((state) => state.name);
    const training = gradient(forward, { loss: 'loss', of, into: 'states' });
    expect(training.calls.length).toBeGreaterThan(2500);
    expect(training.states.length).toBeGreaterThan(1000);
    const session = openWithStates(training);
    let executable = session.compile(training);
    const compileMs = await bestOf(3, () => (executable = session.compile(training)));
    const x = new Float32Array(rows * width).fill(0.5);
    const runMs = await bestOf(10, () => executable.run({ x }));
    const text = `${training.calls.length} calls, ${training.states.length} states`;
    console.log(
      `${text}: compiled in ${compileMs.toFixed(0)} ms, ${((runMs / training.calls.length) * 1e3).toFixed(2)} µs a call`,
    );
    expect(compileMs).toBeLessThan(1000);
    expect((runMs / training.calls.length) * 1e3).toBeLessThan(20);
  });

  it('frees values early, the forward pass over the backward pass', () => {
    const bytes = (program: Program): number => openWithStates(program).compile(program).scratchBytes;
    // No layer needs what lies in the layers before the last one, so depth costs the forward pass nothing.
    expect(bytes(network(100))).toBe(bytes(network(50)));
    const scratch = (layers: number): number => {
      const forward = network(layers);
      const of = forward.states.map((state) => state.name);
      return bytes(gradient(forward, { loss: 'loss', of, into: 'states' }));
    };
    // The backward pass of a layer reads x and what its product made; the norm and the activation it computes again. It
    // reads nothing that the backward pass made in another layer.
    const perLayer = (scratch(100) - scratch(50)) / 50;
    console.log(`training keeps ${perLayer / (rows * width * 4)} values of a layer`);
    expect(perLayer).toBeLessThanOrEqual(2 * rows * width * 4);
  });

  it('names the call that made a NaN, deep inside', async () => {
    const forward = network(100);
    const session = openWithStates(forward);
    await session.writeState('70.up', new Float32Array(width * width).fill(NaN));
    await session.writeState('70.norm', new Float32Array(width).fill(1));
    const executable = session.compile(forward);
    const x = new Float32Array(rows * width).fill(1);
    const error: unknown = await executable
      .run({ x }, { check: 'finite' })
      .catch((reason: unknown) => reason);
    if (!EmuError.isInstance(error)) throw new Error('the run should have been refused');
    expect(error.code).toBe('NON_FINITE');
    const call = Number(/call (\d+)/.exec(error.message)?.[1]);
    expect(forward.calls[call]?.op).toBe('linear');
    expect(Math.floor((call / forward.calls.length) * 100)).toBe(70);
  });
});

describe('a call that does nothing to speak of', () => {
  it('costs less than two microseconds', async () => {
    const calls = 3000;
    const chain = trace('scales', (t) => {
      let x = t.input('x', [8]);
      for (let call = 0; call < calls; call++) x = scale(x, { factor: -1 });
      t.output('y', x);
    });
    const executable = openWithStates(chain).compile(chain);
    const x = new Float32Array(8).fill(2);
    const perCallUs = ((await bestOf(20, () => executable.run({ x }))) / calls) * 1e3;
    console.log(`${perCallUs.toFixed(3)} µs a call`);
    expect(perCallUs).toBeLessThan(2);
  });
});

describe('adamw over all parameters', () => {
  it('runs as one program in about the time of its memory traffic', async () => {
    const [count, elements] = [300, 30_000];
    const step = trace('optimizer', (t) => {
      const hyper = t.input('hyper', [8]);
      for (let index = 0; index < count; index++) {
        const state = (name: string) => t.state(`${name}.${index}`, [elements]);
        const states = { parameter: state('p'), moment1: state('m'), moment2: state('v') };
        adamw(states, t.state(`gradient.${index}`, [elements]), hyper);
      }
    });
    const executable = openWithStates(step).compile(step);
    const numbers = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
    const hyper = adamwHyper({ ...numbers, step: 1 });
    const ms = await bestOf(5, () => executable.run({ hyper }));
    const gigabytes = (count * elements * 4 * 7) / 1e9;
    console.log(
      `9 M parameters in ${ms.toFixed(1)} ms on one thread, ${(gigabytes / (ms / 1e3)).toFixed(1)} GB/s`,
    );
    expect(ms).toBeLessThan(1000);
  });
});
