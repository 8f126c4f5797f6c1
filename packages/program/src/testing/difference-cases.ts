// Every op that has a gradient, with each of its inputs, optional ones present and absent, and awkward shapes.
import * as ops from '../ops/index.js';
import type { ActivationKind } from '../ops/activation-kind.js';
import type { Value } from '../trace.js';
import type { CaseWriter } from './case-writer.js';
import type { DifferencesCase } from './central-differences.js';

const smoothKinds: readonly ActivationKind[] = ['none', 'gelu', 'quickGelu', 'silu'];

function one(op: string, name: string, build: (w: CaseWriter) => Value | readonly Value[]): DifferencesCase {
  return { op, name, build };
}

/** Numbers at least 0.2 away from relu's kink, which differences must not step over. */
function awayFromZero(w: CaseWriter, name: string, shape: readonly number[]): Value {
  const value = w.floats(name, shape);
  w.inputs[name]?.forEach((x, i, data) => {
    data[i] = (Number(x) < 0 ? -0.2 : 0.2) + Number(x);
  });
  return value;
}

function* elementwise(): Generator<DifferencesCase> {
  const shapes: readonly (readonly [string, readonly number[], readonly number[]])[] = [
    ['same', [2, 3], [2, 3]],
    ['row', [2, 3], [3]],
    ['column', [2, 3], [2, 1]],
    ['middle', [2, 3, 4], [3, 1]],
    ['scalar', [2, 3], [1]],
  ];
  for (const [name, a, b] of shapes) {
    yield one('add', name, (w) => ops.add(w.floats('a', a), w.floats('b', b)));
    yield one('multiply', name, (w) => ops.multiply(w.floats('a', a), w.floats('b', b)));
    yield one('sumTo', name, (w) => ops.sumTo(w.floats('a', a), b));
  }
  yield one('multiply', 'square', (w) => {
    const x = w.floats('x', [5]);
    return ops.multiply(x, x);
  });
  yield one('scale', 'factor and offset', (w) =>
    ops.scale(w.floats('x', [2, 3]), { factor: -1.5, offset: 2 }),
  );
  yield one('exponential', 'plain', (w) => ops.exponential(w.floats('x', [2, 3])));
  yield one('squaredError', 'rows', (w) => ops.squaredError(w.floats('a', [3, 4]), w.floats('b', [3, 4])));
  yield one('sumOfSquares', 'matrix', (w) => ops.sumOfSquares(w.floats('x', [3, 2])));
  yield one('fill', 'beside an input', (w) => ops.add(w.floats('x', [2]), ops.fill(w.tracer, [2], 3)));
  yield one('cast', 'f32 to f32', (w) => ops.cast(w.floats('x', [2, 3]), 'f32'));
  yield one('dropout', 'half', (w) =>
    ops.dropout(w.floats('x', [4, 5]), w.indices('key', [2], [3, 4]), { rate: 0.5, stream: 1 }),
  );
  for (const kind of smoothKinds) {
    yield one('activation', kind, (w) => ops.activation(w.floats('x', [3, 5]), kind));
    yield one('gatedActivation', kind, (w) =>
      ops.gatedActivation(w.floats('gate', [2, 3]), w.floats('up', [2, 3]), kind),
    );
  }
  yield one('activation', 'relu', (w) => ops.activation(awayFromZero(w, 'x', [3, 5]), 'relu'));
}

function* products(): Generator<DifferencesCase> {
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    yield one('matmul', `${transposeA ? 'aᵀ' : 'a'} ${transposeB ? 'bᵀ' : 'b'}`, (w) => {
      const a = w.floats('a', transposeA ? [3, 2] : [2, 3]);
      return ops.matmul(a, w.floats('b', transposeB ? [4, 3] : [3, 4]), { transposeA, transposeB });
    });
  }
  for (const shape of [[3], [2, 3], [2, 2, 3]]) {
    yield one('linear', `of rank ${shape.length}`, (w) =>
      ops.linear(w.floats('x', shape), w.floats('w', [4, 3])),
    );
  }
  for (const kind of smoothKinds) {
    yield one('linear', `bias, residual, ${kind}`, (w) =>
      ops.linear(w.floats('x', [2, 3]), w.floats('w', [4, 3]), {
        bias: w.floats('b', [4]),
        residual: w.floats('r', [2, 4]),
        activation: kind,
      }),
    );
  }
  yield one('linear', 'bias without residual, silu', (w) =>
    ops.linear(w.floats('x', [2, 3]), w.floats('w', [4, 3]), {
      bias: w.floats('b', [4]),
      activation: 'silu',
    }),
  );
  yield one('linear', 'residual without bias', (w) =>
    ops.linear(w.floats('x', [2, 3]), w.floats('w', [4, 3]), { residual: w.floats('r', [2, 4]) }),
  );
  const geometries = [
    { name: '3x3', kernel: [3, 3], stride: 1, padding: 1 },
    { name: 'strided', kernel: [3, 3], stride: 2, padding: [0, 1, 0, 1] },
    { name: '1x1', kernel: [1, 1], stride: 1, padding: 0 },
    { name: 'patches', kernel: [2, 2], stride: 2, padding: 0 },
    { name: 'oblong', kernel: [3, 2], stride: 1, padding: [1, 0, 2, 1] },
  ] as const;
  for (const { name, kernel, stride, padding } of geometries) {
    yield one('convolution', name, (w) =>
      ops.convolution(w.floats('x', [2, 5, 4, 2]), w.floats('w', [3, 2, ...kernel]), { stride, padding }),
    );
  }
  yield one('convolution', 'bias, residual, silu', (w) =>
    ops.convolution(w.floats('x', [1, 3, 3, 2]), w.floats('w', [3, 2, 3, 3]), {
      bias: w.floats('b', [3]),
      residual: w.floats('r', [1, 3, 3, 3]),
      activation: 'silu',
      padding: 1,
    }),
  );
  yield one('convolution', 'residual without bias', (w) =>
    ops.convolution(w.floats('x', [1, 3, 3, 2]), w.floats('w', [2, 2, 1, 1]), {
      residual: w.floats('r', [1, 3, 3, 2]),
    }),
  );
}

function* norms(): Generator<DifferencesCase> {
  const epsilon = 1e-2;
  for (const shape of [[5], [3, 5], [2, 2, 4]]) {
    const width = shape.at(-1) ?? 0;
    yield one('rmsNorm', `of rank ${shape.length}`, (w) =>
      ops.rmsNorm(w.floats('x', shape), w.floats('w', [width]), { epsilon }),
    );
    yield one('layerNorm', `of rank ${shape.length}`, (w) =>
      ops.layerNorm(w.floats('x', shape), w.floats('w', [width]), w.floats('b', [width]), { epsilon }),
    );
    yield one('logSoftmax', `of rank ${shape.length}`, (w) => ops.logSoftmax(w.floats('x', shape)));
  }
  for (const activation of smoothKinds) {
    yield one('groupNorm', activation, (w) =>
      ops.groupNorm(w.floats('x', [2, 3, 2, 4]), w.floats('w', [4]), w.floats('b', [4]), {
        groups: 2,
        epsilon,
        activation,
      }),
    );
  }
  yield one('crossEntropy', 'an ignored row', (w) =>
    ops.crossEntropy(w.floats('x', [3, 5]), w.indices('t', [3], [4, -100, 0])),
  );
}

function* attentions(): Generator<DifferencesCase> {
  const qkv = (w: CaseWriter, [B, T, S, H, G, K]: readonly number[] & { length: 6 }) => {
    const at = (side: number | undefined): number => side ?? 0;
    return [
      w.floats('q', [at(B), at(T), at(H), at(K)]),
      w.floats('k', [at(B), at(S), at(G), at(K)]),
      w.floats('v', [at(B), at(S), at(G), at(K)]),
    ] as const;
  };
  yield one('attention', 'plain', (w) => ops.attention(...qkv(w, [2, 3, 4, 2, 2, 3]), { scale: 0.6 }));
  yield one('attention', 'causal', (w) =>
    ops.attention(...qkv(w, [1, 4, 4, 2, 2, 2]), { scale: 0.7, causal: true }),
  );
  yield one('attention', 'grouped heads, one query', (w) =>
    ops.attention(...qkv(w, [1, 1, 3, 4, 2, 2]), { scale: 0.7, causal: true }),
  );
  yield one('attention', 'bias', (w) =>
    ops.attention(...qkv(w, [2, 3, 4, 2, 1, 2]), { scale: 1, bias: w.floats('bias', [2, 3, 4]) }),
  );
  yield one('attention', 'packed', (w) =>
    ops.attention(...qkv(w, [2, 4, 4, 2, 2, 2]), {
      scale: 0.7,
      causal: true,
      firstKey: w.indices('first', [2, 4], [0, 0, 2, 2, 0, 1, 1, 3]),
    }),
  );
  yield one('attention', 'packed with bias', (w) =>
    ops.attention(...qkv(w, [1, 3, 3, 1, 1, 2]), {
      scale: 0.7,
      bias: w.floats('bias', [1, 3, 3]),
      firstKey: w.indices('first', [1, 3], [0, 1, 3]),
    }),
  );
  for (const inverse of [false, true]) {
    yield one('rotaryEmbedding', inverse ? 'inverse' : 'forward', (w) =>
      ops.rotaryEmbedding(w.floats('x', [3, 2, 4]), w.indices('p', [3], [0, 5, 2]), { theta: 100, inverse }),
    );
  }
}

function* moves(): Generator<DifferencesCase> {
  yield one('embedding', 'an id twice', (w) =>
    ops.embedding(w.floats('table', [5, 3]), w.indices('ids', [2, 2], [4, 0, 4, 1])),
  );
  yield one('gatherRows', 'a row twice', (w) =>
    ops.gatherRows(w.floats('x', [4, 3]), w.indices('i', [3], [2, 0, 2])),
  );
  yield one('replaceRows', 'left out, twice and plain', (w) =>
    ops.replaceRows(w.floats('x', [4, 2]), w.floats('rows', [4, 2]), w.indices('t', [4], [-1, 2, 0, 2])),
  );
  yield one('concat', 'three along the middle', (w) =>
    ops.concat([w.floats('a', [2, 1, 2]), w.floats('b', [2, 3, 2]), w.floats('c', [2, 2, 2])], 1),
  );
  yield one('concat', 'one value twice', (w) => {
    const x = w.floats('x', [2, 2]);
    return ops.concat([x, x], -1);
  });
  yield one('slice', 'of the middle', (w) =>
    ops.slice(w.floats('x', [2, 5]), { axis: 1, start: 1, length: 3 }),
  );
  yield one('slice', 'side by side, out of order', (w) => {
    const x = w.floats('x', [2, 6]);
    return [4, 0, 2].map((start) => ops.slice(x, { axis: 1, start, length: 2 }));
  });
  yield one('slice', 'overlapping, with gaps, along two axes', (w) => {
    const x = ops.scale(w.floats('x', [4, 6]), { factor: 2 });
    const rows = ops.slice(x, { axis: 0, start: 1, length: 2 });
    return [rows, x, ...[0, 1, 4].map((start) => ops.slice(x, { axis: 1, start, length: 2 }))];
  });
  yield one('reshape', 'to other axes', (w) => ops.reshape(w.floats('x', [2, 6]), [3, 4]));
  yield one('permute', 'of four axes', (w) => ops.permute(w.floats('x', [2, 3, 1, 2]), [2, 0, 3, 1]));
  yield one('upsampleNearest', 'by two', (w) =>
    ops.upsampleNearest(w.floats('x', [1, 2, 3, 2]), { height: 4, width: 6 }),
  );
  yield one('upsampleNearest', 'uneven', (w) =>
    ops.upsampleNearest(w.floats('x', [2, 2, 3, 1]), { height: 5, width: 4 }),
  );
  yield one('upsampleNearestGradient', 'uneven', (w) =>
    ops.upsampleNearestGradient(w.floats('x', [2, 5, 4, 1]), { height: 2, width: 3 }),
  );
}

/** All cases. */
export function* differenceCases(): Generator<DifferencesCase> {
  yield* elementwise();
  yield* products();
  yield* norms();
  yield* attentions();
  yield* moves();
}
