import { crossEntropyGradient } from '../../ops/cross-entropy-gradient.js';
import { crossEntropy } from '../../ops/cross-entropy.js';
import { groupNormGradient } from '../../ops/group-norm-gradient.js';
import { groupNorm } from '../../ops/group-norm.js';
import { ignoredTarget } from '../../ops/ignored-target.js';
import { layerNormGradient } from '../../ops/layer-norm-gradient.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { logSoftmaxGradient } from '../../ops/log-softmax-gradient.js';
import { logSoftmax } from '../../ops/log-softmax.js';
import { rmsNormGradient } from '../../ops/rms-norm-gradient.js';
import { rmsNorm } from '../../ops/rms-norm.js';
import type { Tolerance } from '../op-case.js';
import { summed } from '../tolerances.js';
import { awkwardWidths, makes, type CaseMaker } from './case-list.js';

const normGradient: Tolerance = {
  absolute: 2e-5,
  relative: 1e-5,
  reason:
    'f32 sums over rows or places; a spread of x far below 1 in a narrow row multiplies them by its inverse',
};

/** Shape and groups. */
const grouped: readonly (readonly [readonly number[], number])[] = [
  [[0, 4, 6], 2],
  [[1, 1], 1],
  [[1, 5, 7], 7],
  [[2, 3, 5, 9], 3],
  [[1, 9, 7, 64], 32],
  [[2, 8, 8, 34], 2],
  [[1, 63, 65], 5],
  [[1, 16, 17, 96], 32],
];

/** Cases of ops that reduce an axis: normalisations, log-softmax and cross-entropy. */
export function* normCases(): Generator<CaseMaker> {
  for (const width of [...awkwardWidths, 1001]) {
    for (const rows of [0, 1, 5]) {
      const label = `${rows}x${width}`;
      yield makes('rmsNorm', label, summed, (w) =>
        rmsNorm(w.floats('x', [rows, width], 3), w.weight('weight', [width]), { epsilon: 1e-6 }),
      );
      yield makes('layerNorm', label, summed, (w) => {
        const [weight, bias] = [w.weight('weight', [width]), w.weight('bias', [width])];
        return layerNorm(w.floats('x', [rows, width], 3), weight, bias, { epsilon: 1e-5 });
      });
      yield makes('logSoftmax', label, summed, (w) => logSoftmax(w.floats('x', [rows, width], 4)));
      yield makes('crossEntropy', label, summed, (w) => {
        const target = w
          .drawIndices('target', rows, width)
          .map((id, row) => (row === 2 ? ignoredTarget : id));
        return crossEntropy(w.floats('logits', [rows, width], 4), w.indices('target', [rows], target));
      });
    }
  }
  for (const [shape, groups] of grouped) {
    for (const activation of ['none', 'silu'] as const) {
      yield makes('groupNorm', `${shape.join('x')}-${groups}-${activation}`, summed, (w) => {
        const channels = [shape.at(-1) ?? 0];
        const [weight, bias] = [w.weight('weight', channels), w.weight('bias', channels)];
        return groupNorm(w.floats('x', shape, 2), weight, bias, { groups, epsilon: 1e-5, activation });
      });
    }
  }
}

/** More rows than one block of a sum over rows holds, too. */
const gradientRows = [0, 1, 5, 70] as const;

/** Cases of the gradients of those ops. */
export function* normGradientCases(): Generator<CaseMaker> {
  for (const width of [...awkwardWidths, 1001]) {
    for (const rows of gradientRows) {
      const [label, shape] = [`${rows}x${width}`, [rows, width]];
      yield makes('rmsNormGradient', label, summed, (w) => {
        const [x, dy] = [w.floats('x', shape, 3), w.floats('dy', shape)];
        return { ...rmsNormGradient(x, w.weight('weight', [width]), dy, { epsilon: 1e-6 }) };
      });
      yield makes('layerNormGradient', label, normGradient, (w) => {
        const [x, dy] = [w.floats('x', shape, 3), w.floats('dy', shape)];
        return { ...layerNormGradient(x, w.weight('weight', [width]), dy, { epsilon: 1e-5 }) };
      });
      if (rows > 5) continue;
      yield makes('logSoftmaxGradient', label, summed, (w) =>
        logSoftmaxGradient(logSoftmax(w.floats('x', shape, 4)), w.floats('dy', shape)),
      );
      yield makes('crossEntropyGradient', label, summed, (w) => {
        const target = w
          .drawIndices('target', rows, width)
          .map((id, row) => (row === 2 ? ignoredTarget : id));
        const [logits, dy] = [w.floats('logits', shape, 4), w.floats('dy', [rows])];
        return crossEntropyGradient(logits, w.indices('target', [rows], target), dy);
      });
    }
  }
  for (const [shape, groups] of grouped) {
    for (const activation of ['none', 'silu', 'gelu', 'quickGelu', 'relu'] as const) {
      yield makes('groupNormGradient', `${shape.join('x')}-${groups}-${activation}`, normGradient, (w) => {
        const channels = [shape.at(-1) ?? 0];
        const [weight, bias] = [w.weight('weight', channels), w.weight('bias', channels)];
        const [x, dy] = [w.floats('x', shape, 2), w.floats('dy', shape)];
        const options = { groups, epsilon: 1e-5, activation };
        return { ...groupNormGradient(x, weight, bias, dy, options) };
      });
    }
  }
}
