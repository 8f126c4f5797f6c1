import { describe, expect, it } from 'vitest';
import { ReferenceBackend } from '../reference.js';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { adamw, adamwHyper, type AdamwNumbers } from './adamw.js';
import { reshape } from './reshape.js';

const numbers: AdamwNumbers = {
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 0,
  weightDecay: 0,
  step: 1,
};

describe('adamw', () => {
  it('moves every element by the learning rate in the first step, whatever the size of its gradient', async () => {
    const program = trace('step', (t) => {
      const states = { parameter: t.state('p', [4]), moment1: t.state('m', [4]), moment2: t.state('v', [4]) };
      t.output('p', adamw(states, t.input('g', [4]), t.input('hyper', [8])));
    });
    const session = new ReferenceBackend().openSession();
    for (const { name } of program.states) session.createState(name, [4], 'f32');
    const g = Float32Array.of(1e-6, -3, 250, 1);
    const { p } = await session.compile(program).run({ g, hyper: adamwHyper(numbers) });
    [-0.1, 0.1, -0.1, -0.1].forEach((moved, i) => {
      expect(p?.[i]).toBeCloseTo(moved, 6);
    });
    const moments = (await session.readState('m')) as Float32Array;
    expect(moments[2]).toBeCloseTo(25, 4);
  });

  it('refuses tensors that are no states, and one state in two places', () => {
    expect(
      tracing((t) => {
        const states = {
          parameter: t.state('p', [2]),
          moment1: t.state('m', [2]),
          moment2: t.input('v', [2]),
        };
        return adamw(states, t.input('g', [2]), t.input('hyper', [8]));
      }),
    ).toThrow('[adamw] input 2 %2 f32[2] is not a state');
    expect(
      tracing((t) => {
        const moment1 = t.state('m', [2]);
        const states = { parameter: t.state('p', [2]), moment1, moment2: reshape(moment1, [2]) };
        return adamw(states, t.input('g', [2]), t.input('hyper', [8]));
      }),
    ).toThrow('[adamw] inputs 1 and 2 are one state');
  });

  it('refuses another number of hyperparameters', () => {
    expect(
      tracing((t) => {
        const states = {
          parameter: t.state('p', [2]),
          moment1: t.state('m', [2]),
          moment2: t.state('v', [2]),
        };
        return adamw(states, t.input('g', [2]), t.input('hyper', [7]));
      }),
    ).toThrow('[adamw] hyper has 7 numbers, needs 8');
  });
});

describe('adamwHyper', () => {
  it('corrects for the betas that the moments see, rounded to f32', () => {
    const hyper = adamwHyper({ ...numbers, step: 1, gradientScale: 0.5 });
    expect(hyper[6]).toBe(Math.fround(1 - Math.fround(0.999)));
    expect(hyper[7]).toBe(0.5);
    expect(adamwHyper({ ...numbers, step: 100_000 })[5]).toBe(1);
  });

  it.each([
    [{ learningRate: -1 }, '[adamw] learningRate -1 is not a number of at least 0'],
    [{ epsilon: NaN }, '[adamw] epsilon NaN is not a number of at least 0'],
    [{ beta1: 1 }, '[adamw] beta1 1 is not a number in 0..1, 1 excluded'],
    [{ beta2: 0.99999999999 }, '[adamw] beta2 0.99999999999 is not a number in 0..1, 1 excluded'],
    [{ step: 0 }, '[adamw] step 0 is not an integer of at least 1'],
    [{ gradientScale: Infinity }, '[adamw] gradientScale Infinity is not a finite number'],
  ])('refuses %j', (wrong, message) => {
    expect(() => adamwHyper({ ...numbers, ...wrong })).toThrow(message);
  });
});
