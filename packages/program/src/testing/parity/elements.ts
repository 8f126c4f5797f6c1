import { activation } from '../../ops/activation.js';
import { add } from '../../ops/add.js';
import type { ActivationKind } from '../../ops/activation-kind.js';
import { cast } from '../../ops/cast.js';
import { gatedActivation } from '../../ops/gated-activation.js';
import { multiply } from '../../ops/multiply.js';
import { scale } from '../../ops/scale.js';
import { exact, oneRounding, transcendental } from '../tolerances.js';
import { awkwardWidths, makes, type CaseMaker } from './case-list.js';

const kinds: readonly ActivationKind[] = ['none', 'gelu', 'quickGelu', 'relu', 'silu'];

/** Shapes of a and b. */
const broadcasts: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []],
  [[0, 3], [3]],
  [[5], [1]],
  [
    [2, 3, 17],
    [2, 3, 17],
  ],
  [[3, 65], [65]],
  [
    [7, 9],
    [7, 1],
  ],
  [
    [2, 5, 33],
    [2, 1, 33],
  ],
  [
    [2, 5, 33],
    [1, 5, 1],
  ],
  [
    [2, 3, 4, 5],
    [3, 1, 5],
  ],
  [[4, 128], []],
];

/** Cases of ops that treat every element alike. */
export function* elementCases(): Generator<CaseMaker> {
  for (const [a, b] of broadcasts) {
    const label = `[${a.join(',')}]-[${b.join(',')}]`;
    yield makes('add', label, oneRounding, (w) => add(w.floats('a', a), w.floats('b', b)));
    yield makes('multiply', label, oneRounding, (w) => multiply(w.floats('a', a), w.floats('b', b)));
  }
  for (const width of [0, ...awkwardWidths, 1001]) {
    const shape = width % 2 === 0 ? [2, width] : [width];
    yield makes('scale', `${width}`, oneRounding, (w) =>
      scale(w.floats('x', shape), { factor: -0.18215, offset: 0.5 }),
    );
    for (const kind of kinds) {
      yield makes('activation', `${kind}-${width}`, transcendental, (w) =>
        activation(w.floats('x', shape, 5), kind),
      );
      yield makes('gatedActivation', `${kind}-${width}`, transcendental, (w) =>
        gatedActivation(w.floats('gate', shape, 3), w.floats('up', shape), kind),
      );
    }
    yield makes('cast', `f32-bf16-${width}`, exact, (w) => cast(w.floats('x', shape, 100), 'bf16'));
    yield makes('cast', `bf16-f32-${width}`, exact, (w) => cast(w.floats('x', shape, 1, 'bf16'), 'f32'));
    yield makes('cast', `f32-f32-${width}`, exact, (w) => cast(w.floats('x', shape), 'f32'));
  }
}
