import {
  add,
  fill,
  multiply,
  reshape,
  rmsNorm,
  scale,
  squaredError,
  stopGradient,
  sumTo,
  type Value,
} from '@emu/program';

import type { VisualReduction } from './objective-options.js';

/**
 * The loss of every predicted visual embedding: prediction f32[M,D], target f32[M,D] -> f32[M]. No gradient goes into
 * the target. Weighted by 1/M and added up, the rows give the reduction's number.
 * Source: baaivision/Emu issue 16 (l2 between the head's output and the embeddings fed to the language model).
 */
export function visualLossRows(prediction: Value, target: Value, reduction: VisualReduction): Value {
  const detached = stopGradient(target);
  switch (reduction) {
    case 'mean':
      return squaredError(prediction, detached);
    case 'sum_over_dim_mean_over_positions':
      return scale(squaredError(prediction, detached), { factor: prediction.side(1) });
    case 'l2_norm':
      return rowLengths(add(prediction, scale(detached, { factor: -1 })));
  }
}

/**
 * Euclidean length of every row: x f32[M,D] -> f32[M]. With r = sqrt(mean x²) the norm's output is x / r, and
 * x · (x / r) = D r = sqrt(D) |x|. The epsilon keeps the gradient of a row of zeros finite.
 */
function rowLengths(x: Value): Value {
  const [rows, width] = [x.side(0), x.side(1)];
  const ones = fill(x.tracer, [width], 1);
  const products = multiply(x, rmsNorm(x, ones, { epsilon: 1e-12 }));
  return scale(reshape(sumTo(products, [rows, 1]), [rows]), { factor: width ** -0.5 });
}
