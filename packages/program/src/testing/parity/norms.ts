import { crossEntropy, ignoredTarget } from '../../ops/cross-entropy.js';
import { groupNorm } from '../../ops/group-norm.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { logSoftmax } from '../../ops/log-softmax.js';
import { rmsNorm } from '../../ops/rms-norm.js';
import { summed } from '../tolerances.js';
import { awkwardWidths, makes, type CaseMaker } from './case-list.js';

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
