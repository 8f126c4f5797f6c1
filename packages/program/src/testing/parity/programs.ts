import { activation } from '../../ops/activation.js';
import { add } from '../../ops/add.js';
import { concat } from '../../ops/concat.js';
import { gatedActivation } from '../../ops/gated-activation.js';
import { linear } from '../../ops/linear.js';
import { multiply } from '../../ops/multiply.js';
import { permute } from '../../ops/permute.js';
import { reshape } from '../../ops/reshape.js';
import { rmsNorm } from '../../ops/rms-norm.js';
import { slice } from '../../ops/slice.js';
import { Philox } from '../../philox.js';
import { elementCount } from '../../tensor.js';
import type { Value } from '../../trace.js';
import type { CaseWriter } from '../case-writer.js';
import type { Tolerance } from '../op-case.js';
import { makes, type CaseMaker } from './case-list.js';

const programCount = 60;
const mostCalls = 40;
const mostElements = 4000;

/** A value placed in memory that another still needs is off by whole numbers, so this may be wide. */
const chained: Tolerance = {
  absolute: 2e-4,
  relative: 2e-4,
  reason: 'errors of up to 40 calls that follow one another',
};

type Pick = (limit: number) => number;

/** Makes a new value from what is there; null when the choice does not fit. */
type Step = (w: CaseWriter, x: Value, pool: readonly Value[], pick: Pick) => Value | null;

function sameShapeAs(x: Value, pool: readonly Value[], pick: Pick): Value {
  const fitting = pool.filter((other) => other.shape.join() === x.shape.join());
  return fitting[pick(fitting.length)] ?? x;
}

const steps: readonly Step[] = [
  (_w, x) => activation(x, 'silu'),
  (_w, x) => activation(x, 'relu'),
  (_w, x, pool, pick) => add(x, sameShapeAs(x, pool, pick)),
  (_w, x, pool, pick) => multiply(activation(x, 'silu'), sameShapeAs(x, pool, pick)),
  (_w, x, pool, pick) => gatedActivation(x, sameShapeAs(x, pool, pick), 'gelu'),
  (w, x) => rmsNorm(x, w.weight(`norm${x.side(-1)}`, [x.side(-1)]), { epsilon: 1e-3 }),
  (w, x, pool, pick) => {
    const outputs = 1 + pick(40);
    const rows = x.shape.slice(0, -1);
    const residual = pool.find((other) => other.shape.join() === [...rows, outputs].join()) ?? null;
    return linear(x, w.weight(`linear${outputs}x${x.side(-1)}`, [outputs, x.side(-1)]), {
      residual,
      activation: 'silu',
    });
  },
  (_w, x) => reshape(x, [elementCount(x.shape)]),
  (_w, x, _pool, pick) => {
    const divisors = [1, 2, 3, 4, 5, 6, 7].filter((n) => elementCount(x.shape) % n === 0);
    return reshape(x, [divisors[pick(divisors.length)] ?? 1, -1]);
  },
  (_w, x) => (x.shape.length < 2 ? null : permute(x, [...x.shape.keys()].reverse())),
  (_w, x, _pool, pick) => {
    const axis = pick(x.shape.length);
    const start = pick(x.side(axis));
    return slice(x, { axis, start, length: 1 + pick(x.side(axis) - start) });
  },
  (_w, x, pool, pick) => concat([x, sameShapeAs(x, pool, pick), x], pick(x.shape.length)),
];

function writeProgram(w: CaseWriter, random: Philox): Readonly<Record<string, Value>> {
  const pick: Pick = (limit) => (limit <= 0 ? 0 : random.nextUint32() % limit);
  const pool: Value[] = [w.floats('a', [6, 1 + pick(30)]), w.floats('b', [1 + pick(5), 2 * (1 + pick(8))])];
  const calls = 5 + pick(mostCalls - 5);
  for (let call = 0; call < calls; call++) {
    // Mostly recent values, now and then an old one that has to be kept until then.
    const recent = pick(4) > 0 ? pool.slice(-3) : pool;
    const x = recent[pick(recent.length)] as Value;
    const made = (steps[pick(steps.length)] as Step)(w, x, pool, pick);
    if (made !== null && elementCount(made.shape) <= mostElements) pool.push(made);
  }
  const outputs = Array.from({ length: 1 + pick(5) }, () => pool[pick(pool.length)] as Value);
  return Object.fromEntries([pool.at(-1) as Value, ...outputs].map((value, index) => [`y${index}`, value]));
}

/**
 * Random programs whose values live for different times, are views of one another, or are outputs and inputs at
 * once: what a memory plan can get wrong.
 */
export function* programCases(): Generator<CaseMaker> {
  for (let index = 0; index < programCount; index++) {
    yield (seed) =>
      makes('program', `random-${index}`, chained, (w) => writeProgram(w, new Philox(seed, index)))(seed);
  }
}
