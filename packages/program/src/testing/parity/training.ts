import { accumulate } from '../../ops/accumulate.js';
import { accumulateMatmul } from '../../ops/accumulate-matmul.js';
import { activationGradient } from '../../ops/activation-gradient.js';
import type { ActivationKind } from '../../ops/activation-kind.js';
import { adamw, adamwHyper } from '../../ops/adamw.js';
import { add } from '../../ops/add.js';
import { cast } from '../../ops/cast.js';
import { dropout } from '../../ops/dropout.js';
import { embedding } from '../../ops/embedding.js';
import { exponential } from '../../ops/exponential.js';
import { fill } from '../../ops/fill.js';
import { gatedActivationGradient } from '../../ops/gated-activation-gradient.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { ignoredTarget } from '../../ops/ignored-target.js';
import { linearCrossEntropyWithGradients } from '../../ops/linear-cross-entropy-with-gradients.js';
import { linear } from '../../ops/linear.js';
import { rotaryEmbedding } from '../../ops/rotary-embedding.js';
import { scatterAddRows } from '../../ops/scatter-add-rows.js';
import { squaredError } from '../../ops/squared-error.js';
import { stopGradient } from '../../ops/stop-gradient.js';
import { sumOfSquares } from '../../ops/sum-of-squares.js';
import { sumTo } from '../../ops/sum-to.js';
import { upsampleNearestGradient } from '../../ops/upsample-nearest-gradient.js';
import type { Shape } from '../../tensor.js';
import type { Value } from '../../trace.js';
import type { CaseWriter } from '../case-writer.js';
import type { Tolerance } from '../op-case.js';
import { exact, oneRounding, summed, transcendental } from '../tolerances.js';
import { awkwardWidths, makes, type CaseMaker } from './case-list.js';

const kinds: readonly ActivationKind[] = ['none', 'gelu', 'quickGelu', 'relu', 'silu'];

const derived: Tolerance = {
  absolute: 4e-6,
  relative: 2e-6,
  reason: 'a vectorised exp or erf, times one or two factors of unit size',
};

const roundedGradients: Tolerance = {
  absolute: 2e-3,
  relative: 4e-3,
  reason: 'the gradient of the logits is rounded to bf16, and two f32 neighbours may round apart',
};

const manyRows: Tolerance = {
  absolute: 2e-5,
  relative: 4e-6,
  reason: 'f32 sums of up to two thousand numbers of unit size',
};

/** A state whose contents are drawn like those of an input. */
function filledState(w: CaseWriter, name: string, shape: Shape, spread = 1): Value {
  return accumulate(w.tracer.state(name, shape), w.floats(`${name}.initial`, shape, spread), { keep: 0 });
}

function* elementCases(): Generator<CaseMaker> {
  for (const width of [0, ...awkwardWidths, 1001]) {
    const shape = width % 2 === 0 ? [2, width] : [width];
    for (const kind of kinds) {
      yield makes('activationGradient', `${kind}-${width}`, derived, (w) =>
        activationGradient(w.floats('x', shape, 5), w.floats('dy', shape), kind),
      );
      yield makes('gatedActivationGradient', `${kind}-${width}`, derived, (w) => {
        const [gate, up, dy] = [w.floats('gate', shape, 3), w.floats('up', shape), w.floats('dy', shape)];
        const gradients = gatedActivationGradient(gate, up, dy, kind);
        return { gate: gradients.gate, up: gradients.up };
      });
    }
    yield makes('exponential', `${width}`, transcendental, (w) => exponential(w.floats('x', shape, 5)));
    yield makes('dropout', `${width}`, exact, (w) =>
      dropout(w.floats('x', shape), w.indices('key', [2], [-7, width]), { rate: 0.3, stream: 2 ** 32 - 1 }),
    );
    yield makes('fill', `${width}`, exact, (w) => fill(w.tracer, shape, -0.3));
    yield makes('stopGradient', `${width}`, exact, (w) => stopGradient(w.floats('x', shape)));
    for (const [keep, factor] of [
      [1, 1],
      [0.99, 0.01],
      [0, -2],
    ] as const) {
      // prettier-ignore
      yield makes('accumulate', `${keep}-${factor}-${width}`, oneRounding, (w) =>
        accumulate(filledState(w, 'state', shape), w.floats('x', shape), { keep, factor }),
      );
    }
    yield makes('adamw', `${width}`, oneRounding, (w) => {
      const [parameter, moment1] = [
        filledState(w, 'parameter', shape),
        filledState(w, 'moment1', shape, 0.1),
      ];
      // Squares, so that there is something to take a root of.
      const moment2 = w.tracer.state('moment2', shape);
      const numbers = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
      const hyper = w.numbers('hyper', [8], adamwHyper({ ...numbers, step: 3, gradientScale: 0.5 }));
      const states = { parameter, moment1, moment2 };
      adamw(states, w.floats('gradient', shape), hyper);
      const updated = adamw(states, w.floats('next', shape), hyper);
      return { updated, moment1, moment2 };
    });
  }
}

function* stateProductCases(): Generator<CaseMaker> {
  for (const precision of ['f32', 'bf16'] as const) {
    for (const [rows, inner, columns] of [
      [1, 1, 1],
      [0, 3, 5],
      [3, 0, 5],
      [17, 33, 47],
      [200, 65, 97],
    ] as const) {
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          const label = `${precision}-${rows}x${inner}x${columns}-${transposeA ? 'KxM' : 'MxK'}-${transposeB ? 'NxK' : 'KxN'}`;
          yield makes('accumulateMatmul', label, summed, (w) => {
            const a = w.floats('a', transposeA ? [inner, rows] : [rows, inner]);
            const b = w.floats(
              'b',
              transposeB ? [columns, inner] : [inner, columns],
              Math.max(inner, 1) ** -0.5,
            );
            const state = filledState(w, 'state', [rows, columns]);
            return accumulateMatmul(state, a, b, { transposeA, transposeB, precision });
          });
        }
      }
    }
    for (const [rows, width, vocabulary] of [
      [1, 1, 1],
      [0, 3, 5],
      [5, 33, 7],
      [40, 17, 131],
    ] as const) {
      const tolerance = precision === 'f32' ? summed : roundedGradients;
      yield makes(
        'linearCrossEntropyWithGradients',
        `${precision}-${rows}x${width}x${vocabulary}`,
        tolerance,
        (w) => {
          const ids = w.drawIndices('target', rows, vocabulary);
          const target = ids.map((id, row) => (row === 2 ? ignoredTarget : id));
          const results = linearCrossEntropyWithGradients(
            {
              state: filledState(w, 'state', [vocabulary, width]),
              x: w.floats('x', [rows, width]),
              weight: w.floats('weight', [vocabulary, width], width ** -0.5),
              target: w.indices('target', [rows], target),
              dy: w.floats('dy', [rows], Math.max(rows, 1) ** -0.5),
            },
            precision,
          );
          return { ...results };
        },
      );
    }
  }
}

function* sumCases(): Generator<CaseMaker> {
  const sums: readonly (readonly [Shape, Shape])[] = [
    [[], []],
    [[5], []],
    [[5], [1]],
    [[5], [5]],
    [[0, 3], [3]],
    [[3, 0], [3, 1]],
    [[65, 33], [33]],
    [[65, 33], [65, 1]],
    [[2, 5, 33], [5, 33]],
    [[2, 5, 33], [2, 1, 33]],
    [[2, 5, 33], [5, 1]],
    [[3, 4, 5, 6], [3, 1, 5, 1]],
    [[3, 4, 5, 6], [4, 1, 6]],
    [[700, 17], [17]],
    [[2, 300, 3, 5], [2, 1, 1, 5]],
  ]; // prettier-ignore
  for (const [from, to] of sums) {
    yield makes('sumTo', `[${from.join(',')}]-[${to.join(',')}]`, manyRows, (w) =>
      sumTo(w.floats('x', from), to),
    );
  }
  for (const width of [0, ...awkwardWidths, 5000]) {
    yield makes('sumOfSquares', `${width}`, { ...summed, relative: 2e-6 }, (w) =>
      sumOfSquares(w.floats('x', [3, width])),
    );
    if (width === 0) continue;
    yield makes('squaredError', `${width}`, { ...summed, relative: 2e-6 }, (w) =>
      squaredError(w.floats('prediction', [5, width]), w.floats('target', [5, width])),
    );
    for (const count of [0, 1, 17]) {
      yield makes('scatterAddRows', `${count}x${width}`, summed, (w) => {
        const targets = w.drawIndices('index', count, 8).map((index) => index - 1);
        return scatterAddRows(w.floats('rows', [count, width]), w.indices('index', [count], targets), {
          count: 7,
        });
      });
    }
  }
  for (const [big, height, width] of [
    [[1, 3, 2, 1], 1, 1],
    [[0, 4, 4, 3], 2, 2],
    [[2, 8, 10, 17], 4, 5],
    [[1, 7, 3, 4], 3, 7],
    [[1, 4, 9, 33], 9, 9],
  ] as const) {
    yield makes('upsampleNearestGradient', `${big.join('x')}-${height}x${width}`, summed, (w) =>
      upsampleNearestGradient(w.floats('dy', big), { height, width }),
    );
  }
  yield makes('rotaryEmbedding', 'there-and-back', { ...transcendental, absolute: 2e-6 }, (w) => {
    const position = w.indices('position', [5], [0, 3, 700, 11, 2047]);
    const turned = rotaryEmbedding(w.floats('x', [5, 3, 16]), position, { theta: 10000 });
    return { turned, back: rotaryEmbedding(turned, position, { theta: 10000, inverse: true }) };
  });
}

/** States read wherever weights are, and handed out as they are at the end of the run. */
function* stateCases(): Generator<CaseMaker> {
  yield makes('program', 'states-as-weights', { ...summed, absolute: 2e-5 }, (w) => {
    const table = filledState(w, 'table', [9, 16]);
    const weight = filledState(w, 'weight', [20, 16], 0.25);
    const [gain, bias] = [filledState(w, 'gain', [16]), filledState(w, 'bias', [16])];
    const rows = embedding(table, w.indices('ids', [3], [8, 0, 5]));
    const normal = layerNorm(rows, gain, bias, { epsilon: 1e-5 });
    const exactly = linear(normal, weight, { activation: 'silu' });
    const rounded = linear(normal, cast(weight, 'bf16'));
    const tied = linear(normal, table);
    accumulate(weight, weight);
    return { exactly, rounded, tied, weight, sum: add(exactly, rounded) };
  });
}

/** Cases of the ops that only training needs, and of states that are trained. */
export function* trainingCases(): Generator<CaseMaker> {
  yield* elementCases();
  yield* stateProductCases();
  yield* sumCases();
  yield* stateCases();
}

/** Sizes that are worth splitting over threads, too large for the reference executor. */
export function* trainingThreadCases(): Generator<CaseMaker> {
  const large = [301, 1000];
  yield makes('sumTo', 'threads-columns', exact, (w) => sumTo(w.floats('x', large), [1000]));
  yield makes('sumTo', 'threads-rows', exact, (w) => sumTo(w.floats('x', large), [301, 1]));
  yield makes('sumTo', 'threads-all', exact, (w) => sumTo(w.floats('x', [1024, 301]), []));
  yield makes('sumOfSquares', 'threads', exact, (w) => sumOfSquares(w.floats('x', large)));
  yield makes('dropout', 'threads', exact, (w) =>
    dropout(w.floats('x', large), w.indices('key', [2], [3, 4]), { rate: 0.1, stream: 5 }),
  );
  yield makes('adamw', 'threads', exact, (w) => {
    const states = {
      parameter: filledState(w, 'parameter', large),
      moment1: w.tracer.state('moment1', large),
      moment2: w.tracer.state('moment2', large),
    };
    const numbers = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };
    adamw(states, w.floats('g', large), w.numbers('hyper', [8], adamwHyper({ ...numbers, step: 1 })));
    return { ...states };
  });
  yield makes('scatterAddRows', 'threads', exact, (w) => {
    const index = w.indices('index', [301], w.drawIndices('index', 301, 200));
    return scatterAddRows(w.floats('rows', large), index, { count: 200 });
  });
  yield makes('gatedActivationGradient', 'threads', exact, (w) => {
    const [gate, up, dy] = [w.floats('gate', large), w.floats('up', large), w.floats('dy', large)];
    const gradients = gatedActivationGradient(gate, up, dy, 'silu');
    return { gate: gradients.gate, up: gradients.up };
  });
}
