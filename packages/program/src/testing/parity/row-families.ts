import { activation } from '../../ops/activation.js';
import { add } from '../../ops/add.js';
import { attention } from '../../ops/attention.js';
import { cachedAttention } from '../../ops/cached-attention.js';
import { cast } from '../../ops/cast.js';
import { convolution } from '../../ops/convolution.js';
import { crossEntropyGradient } from '../../ops/cross-entropy-gradient.js';
import { crossEntropy } from '../../ops/cross-entropy.js';
import { embedding } from '../../ops/embedding.js';
import { gatedActivation } from '../../ops/gated-activation.js';
import { gatherRows } from '../../ops/gather-rows.js';
import { groupNorm } from '../../ops/group-norm.js';
import { layerNormGradient } from '../../ops/layer-norm-gradient.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { linear } from '../../ops/linear.js';
import { logSoftmaxGradient } from '../../ops/log-softmax-gradient.js';
import { logSoftmax } from '../../ops/log-softmax.js';
import { multiply } from '../../ops/multiply.js';
import { reshape } from '../../ops/reshape.js';
import { rmsNormGradient } from '../../ops/rms-norm-gradient.js';
import { rmsNorm } from '../../ops/rms-norm.js';
import { rotaryEmbedding } from '../../ops/rotary-embedding.js';
import { scale } from '../../ops/scale.js';
import { upsampleNearest } from '../../ops/upsample-nearest.js';
import type { Value } from '../../trace.js';
import { writeCase, type CaseWriter } from '../case-writer.js';
import type { OpCase } from '../op-case.js';
import { exact } from '../tolerances.js';
import { everyPlace, filledCaches, type CacheSizes } from './attention.js';

/** Rows of the largest batch. */
export const batchRows = 32;

/** A computation on independent rows: `make(seed, rows)` writes it for some of the 32 rows, axis 0 of the output. */
export interface RowFamily {
  readonly name: string;
  readonly op: string;
  readonly make: (seed: number, rows: readonly number[]) => OpCase;
}

/** Row-wise inputs of a case that holds only `rows` of 32. */
type Rows = readonly number[];

function family(op: string, label: string, build: (w: CaseWriter, rows: Rows) => Value): RowFamily {
  const name = `rows/${op}/${label}`;
  return {
    name,
    op,
    make: (seed, rows) =>
      writeCase(
        { name: `${name}/${rows.length}-from-${rows[0] ?? 0}`, origin: name, op, tolerance: exact, seed },
        (w) => build(w, rows),
      ),
  };
}

/** Of values for all 32 rows, those of `rows`, as an i32 input. */
function indexRows(w: CaseWriter, name: string, values: readonly number[], rows: Rows): Value {
  return w.indices(
    name,
    [rows.length],
    rows.map((row) => values[row] ?? 0),
  );
}

function* productFamilies(): Generator<RowFamily> {
  for (const dtype of ['f32', 'bf16'] as const) {
    for (const [width, outputs] of [
      [17, 9],
      [88, 64],
      [1000, 65],
      [513, 260],
    ] as const) {
      yield family('linear', `${dtype}-${width}x${outputs}`, (w, rows) =>
        linear(w.floatRows('x', [batchRows, width], rows), w.weight('weight', [outputs, width], dtype), {
          bias: w.weight('bias', [outputs]),
          residual: w.floatRows('residual', [batchRows, outputs], rows),
          activation: 'silu',
        }),
      );
    }
    yield family('convolution', dtype, (w, rows) =>
      convolution(w.floatRows('x', [batchRows, 5, 4, 17], rows), w.weight('weight', [33, 17, 3, 3], dtype), {
        padding: 1,
        bias: w.weight('bias', [33]),
        activation: 'gelu',
      }),
    );
  }
}

function* attentionFamilies(): Generator<RowFamily> {
  for (const [T, S, H, G, K] of [
    [1, 65, 2, 1, 88],
    [7, 7, 1, 1, 17],
    [5, 257, 2, 2, 16],
  ] as const) {
    yield family('attention', `batch-T${T}-S${S}-K${K}`, (w, rows) => {
      const q = w.floatRows('q', [batchRows, T, H, K], rows);
      const [k, v] = ['k', 'v'].map((name) => w.floatRows(name, [batchRows, S, G, K], rows)) as [
        Value,
        Value,
      ];
      return attention(q, k, v, { scale: K ** -0.5, causal: T === S });
    });
  }
  yield family('attention', 'queries', (w, rows) => {
    const [H, S, K] = [2, 130, 88];
    const q = reshape(w.floatRows('q', [batchRows, H, K], rows), [1, rows.length, H, K]);
    const [k, v] = [w.floats('k', [1, S, H, K]), w.floats('v', [1, S, H, K])];
    return reshape(attention(q, k, v, { scale: K ** -0.5 }), [rows.length, H, K]);
  });
  for (const dtype of ['f32', 'bf16'] as const) {
    const sizes: CacheSizes = {
      dtype,
      pageSize: 16,
      heads: 4,
      keyHeads: 2,
      width: 88,
      lengths: [70, 33, 1, 17],
    };
    const places = everyPlace(sizes.lengths);
    // Spread over short and long contexts; the last place of a slot is the longest.
    const asked = Array.from({ length: batchRows }, (_, row) => places[(row * 37) % places.length]);
    yield family('cachedAttention', dtype, (w, rows) => {
      const { keys, values, pageTable } = filledCaches(w, sizes, places);
      return cachedAttention(w.floatRows('q', [batchRows, sizes.heads, sizes.width], rows), keys, values, {
        slot: indexRows(
          w,
          'askedSlot',
          asked.map((row) => row?.slot ?? -1),
          rows,
        ),
        position: indexRows(
          w,
          'askedPosition',
          asked.map((row) => row?.position ?? 0),
          rows,
        ),
        pageTable,
        scale: sizes.width ** -0.5,
      });
    });
  }
}

function* widthFamilies(width: number): Generator<RowFamily> {
  const x = (w: CaseWriter, rows: Rows, name = 'x'): Value => w.floatRows(name, [batchRows, width], rows, 3);
  const label = `${width}`;
  yield family('rmsNorm', label, (w, rows) => rmsNorm(x(w, rows), w.weight('g', [width]), { epsilon: 1e-6 }));
  yield family('layerNorm', label, (w, rows) =>
    layerNorm(x(w, rows), w.weight('g', [width]), w.weight('b', [width]), { epsilon: 1e-5 }),
  );
  yield family('logSoftmax', label, (w, rows) => logSoftmax(x(w, rows)));
  yield family('crossEntropy', label, (w, rows) => {
    const target = w.drawIndices('target', batchRows, width);
    return crossEntropy(x(w, rows), indexRows(w, 'target', target, rows));
  });
  yield family('rmsNormGradient', label, (w, rows) => {
    const dy = x(w, rows, 'dy');
    return rmsNormGradient(x(w, rows), w.weight('g', [width]), dy, { epsilon: 1e-6 }).dx;
  });
  yield family('layerNormGradient', label, (w, rows) => {
    const dy = x(w, rows, 'dy');
    return layerNormGradient(x(w, rows), w.weight('g', [width]), dy, { epsilon: 1e-5 }).dx;
  });
  yield family('logSoftmaxGradient', label, (w, rows) => logSoftmaxGradient(x(w, rows), x(w, rows, 'dy')));
  yield family('crossEntropyGradient', label, (w, rows) => {
    const target = w.drawIndices('target', batchRows, width);
    const dy = w.floatRows('dy', [batchRows], rows);
    return crossEntropyGradient(x(w, rows), indexRows(w, 'target', target, rows), dy);
  });
  yield family('activation', `gelu-${label}`, (w, rows) => activation(x(w, rows), 'gelu'));
  yield family('activation', `silu-${label}`, (w, rows) => activation(x(w, rows), 'silu'));
  yield family('gatedActivation', label, (w, rows) => gatedActivation(x(w, rows), x(w, rows, 'up'), 'silu'));
  yield family('add', label, (w, rows) => add(x(w, rows), w.floats('b', [width])));
  yield family('multiply', label, (w, rows) => multiply(x(w, rows), x(w, rows, 'b')));
  yield family('scale', label, (w, rows) => scale(x(w, rows), { factor: 0.1, offset: 0.3 }));
  yield family('cast', label, (w, rows) => cast(x(w, rows), 'bf16'));
  yield family('embedding', label, (w, rows) => {
    const ids = w.drawIndices('ids', batchRows, 50);
    return embedding(w.weight('table', [50, width], 'bf16'), indexRows(w, 'ids', ids, rows));
  });
  yield family('gatherRows', label, (w, rows) => {
    const index = w.drawIndices('index', batchRows, 9);
    return gatherRows(w.floats('x', [9, width]), indexRows(w, 'index', index, rows));
  });
}

function* pictureFamilies(): Generator<RowFamily> {
  yield family('groupNorm', '32-groups', (w, rows) => {
    const [weight, bias] = [w.weight('g', [64]), w.weight('b', [64])];
    return groupNorm(w.floatRows('x', [batchRows, 5, 3, 64], rows), weight, bias, {
      groups: 32,
      epsilon: 1e-5,
      activation: 'silu',
    });
  });
  yield family('upsampleNearest', 'twice', (w, rows) =>
    upsampleNearest(w.floatRows('x', [batchRows, 3, 2, 5], rows), { height: 6, width: 4 }),
  );
  yield family('rotaryEmbedding', 'K88', (w, rows) => {
    const position = w.drawIndices('position', batchRows, 2048);
    return rotaryEmbedding(
      w.floatRows('x', [batchRows, 3, 88], rows),
      indexRows(w, 'position', position, rows),
      {
        theta: 10000,
      },
    );
  });
}

/** Every op that treats rows independently. */
export function* rowFamilies(): Generator<RowFamily> {
  yield* productFamilies();
  yield* attentionFamilies();
  for (const width of [17, 65, 88, 1000]) yield* widthFamilies(width);
  yield* pictureFamilies();
}
