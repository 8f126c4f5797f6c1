import { attentionGradient } from '../../ops/attention-gradient.js';
import { attention } from '../../ops/attention.js';
import { convolution } from '../../ops/convolution.js';
import { convolutionGradientInput } from '../../ops/convolution-gradient-input.js';
import { convolutionGradientWeight } from '../../ops/convolution-gradient-weight.js';
import { groupNormGradient } from '../../ops/group-norm-gradient.js';
import { groupNorm } from '../../ops/group-norm.js';
import { layerNormGradient } from '../../ops/layer-norm-gradient.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { linear } from '../../ops/linear.js';
import { logSoftmax } from '../../ops/log-softmax.js';
import { matmul } from '../../ops/matmul.js';
import { permute } from '../../ops/permute.js';
import type { Value } from '../../trace.js';
import { exact } from '../tolerances.js';
import { makes, type CaseMaker } from './case-list.js';

/** Sizes that are worth splitting over threads, too large for the reference executor. */
export function* threadCases(): Generator<CaseMaker> {
  for (const dtype of ['f32', 'bf16'] as const) {
    yield makes('linear', `threads-${dtype}-tall`, exact, (w) =>
      linear(w.floats('x', [200, 300]), w.weight('weight', [310, 300], dtype), { activation: 'gelu' }),
    );
    yield makes('linear', `threads-${dtype}-one-row`, exact, (w) =>
      linear(w.floats('x', [1, 700]), w.weight('weight', [900, 700], dtype)),
    );
    yield makes('convolution', `threads-${dtype}`, exact, (w) =>
      convolution(w.floats('x', [1, 33, 31, 40]), w.weight('weight', [70, 40, 3, 3], dtype), { padding: 1 }),
    );
    yield makes('matmul', `threads-${dtype}-gradient-of-a-weight`, exact, (w) =>
      matmul(w.floats('dy', [900, 130]), w.floats('x', [900, 110]), { transposeA: true, precision: dtype }),
    );
    yield makes('convolutionGradientInput', `threads-${dtype}`, exact, (w) => {
      const weight = w.weight('weight', [40, 70, 3, 3], dtype);
      const options = { padding: 1, height: 33, width: 31 };
      return convolutionGradientInput(w.floats('dy', [1, 33, 31, 40]), weight, options);
    });
    yield makes('convolutionGradientWeight', `threads-${dtype}`, exact, (w) =>
      convolutionGradientWeight(w.floats('x', [1, 33, 31, 40]), w.floats('dy', [1, 33, 31, 70]), {
        padding: 1,
        kernelHeight: 3,
        kernelWidth: 3,
        precision: dtype,
      }),
    );
  }
  yield makes('attention', 'threads', exact, (w) => {
    const [q, k, v] = ['q', 'k', 'v'].map((name) => w.floats(name, [1, 300, 4, 88]));
    return attention(q as never, k as never, v as never, { scale: 88 ** -0.5, causal: true });
  });
  yield makes('attentionGradient', 'threads', exact, (w) => {
    const draw = (name: string, heads: number): Value => w.floats(name, [2, 300, heads, 40]);
    const options = { scale: 40 ** -0.5, causal: true, bias: w.floats('bias', [4, 300, 300]) };
    const given = { ...options, out: draw('out', 4), dout: draw('dout', 4) };
    const { dq, dk, dv } = attentionGradient(draw('q', 4), draw('k', 2), draw('v', 2), given);
    return { dq, dk, dv };
  });
  yield makes('groupNormGradient', 'threads', exact, (w) => {
    const [x, dy] = [w.floats('x', [1, 60, 61, 64]), w.floats('dy', [1, 60, 61, 64])];
    const options = { groups: 32, epsilon: 1e-5, activation: 'silu' } as const;
    return { ...groupNormGradient(x, w.weight('g', [64]), w.weight('b', [64]), dy, options) };
  });
  yield makes('layerNormGradient', 'threads', exact, (w) => {
    const [x, dy] = [w.floats('x', [301, 700]), w.floats('dy', [301, 700])];
    return { ...layerNormGradient(x, w.weight('g', [700]), dy, { epsilon: 1e-5 }) };
  });
  yield makes('groupNorm', 'threads', exact, (w) =>
    groupNorm(w.floats('x', [1, 60, 61, 64]), w.weight('g', [64]), w.weight('b', [64]), {
      groups: 32,
      epsilon: 1e-5,
    }),
  );
  yield makes('layerNorm', 'threads', exact, (w) =>
    layerNorm(w.floats('x', [301, 700]), w.weight('g', [700]), w.weight('b', [700]), { epsilon: 1e-5 }),
  );
  yield makes('logSoftmax', 'threads', exact, (w) => logSoftmax(w.floats('x', [7, 32004])));
  yield makes('permute', 'threads', exact, (w) => permute(w.floats('x', [64, 65, 66]), [2, 0, 1]));
}
