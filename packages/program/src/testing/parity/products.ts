import type { ActivationKind } from '../../ops/activation-kind.js';
import { convolution, type Padding } from '../../ops/convolution.js';
import { convolutionGradientInput } from '../../ops/convolution-gradient-input.js';
import { convolutionGradientWeight } from '../../ops/convolution-gradient-weight.js';
import { linear } from '../../ops/linear.js';
import { matmul } from '../../ops/matmul.js';
import type { StoredDType } from '../case-writer.js';
import { summed } from '../tolerances.js';
import { makes, type CaseMaker } from './case-list.js';

const dtypes: readonly StoredDType[] = ['f32', 'bf16'];

/** Rows, input width, output width. */
const linearSizes: readonly (readonly [number, number, number])[] = [
  [0, 8, 8],
  [1, 1, 1],
  [1, 2, 1],
  [1, 7, 9],
  [1, 17, 63],
  [1, 88, 128],
  [1, 1000, 33],
  [2, 0, 3],
  [2, 65, 65],
  [3, 15, 17],
  [5, 128, 88],
  [6, 31, 7],
  [7, 63, 1],
  [8, 64, 64],
  [9, 16, 31],
  [13, 33, 15],
  [17, 17, 17],
  [32, 88, 65],
  [63, 65, 63],
  [65, 129, 130],
  [33, 515, 257],
];

interface Extras {
  readonly activation?: ActivationKind;
  readonly bias?: boolean;
  readonly residual?: boolean;
}

const extras: readonly Extras[] = [
  {},
  { bias: true },
  { bias: true, activation: 'gelu' },
  { activation: 'silu', residual: true },
  { bias: true, activation: 'quickGelu', residual: true },
  { bias: true, activation: 'relu' },
];

function extrasText({ activation = 'none', bias, residual }: Extras): string {
  return [activation, ...(bias ? ['bias'] : []), ...(residual ? ['residual'] : [])].join('-');
}

function* linearCases(): Generator<CaseMaker> {
  for (const dtype of dtypes) {
    for (const [index, [rows, width, outputs]] of linearSizes.entries()) {
      // Small sizes run with every extra; the others take turns.
      const every = rows <= 3 && width * outputs < 2000;
      const chosen = every ? extras : [extras[index % extras.length] as Extras];
      for (const extra of chosen) {
        yield makes('linear', `${dtype}-${rows}x${width}x${outputs}-${extrasText(extra)}`, summed, (w) =>
          linear(w.floats('x', [rows, width]), w.weight('weight', [outputs, width], dtype), {
            activation: extra.activation ?? 'none',
            bias: extra.bias ? w.weight('bias', [outputs]) : null,
            residual: extra.residual ? w.floats('residual', [rows, outputs]) : null,
          }),
        );
      }
    }
    yield makes('linear', `${dtype}-batched-axes`, summed, (w) =>
      linear(w.floats('x', [2, 3, 5, 17]), w.weight('weight', [9, 17], dtype)),
    );
    yield makes('linear', `${dtype}-weight-is-an-input`, summed, (w) =>
      linear(w.floats('x', [5, 33]), w.floats('weight', [19, 33], 33 ** -0.5, dtype)),
    );
  }
}

interface Picture {
  readonly picture: readonly [number, number, number, number];
  readonly outputs: number;
  readonly kernel: readonly [number, number];
  readonly stride?: number;
  readonly padding?: Padding;
}

const noPadding: Padding = [0, 0, 0, 0];

const pictures: readonly Picture[] = [
  { picture: [0, 4, 4, 3], outputs: 2, kernel: [3, 3] },
  { picture: [1, 1, 1, 1], outputs: 1, kernel: [1, 1] },
  { picture: [1, 1, 1, 5], outputs: 3, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { picture: [2, 5, 7, 3], outputs: 17, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { picture: [1, 9, 8, 4], outputs: 65, kernel: [3, 3], stride: 2, padding: [0, 1, 0, 1] },
  { picture: [1, 8, 9, 16], outputs: 15, kernel: [3, 3], stride: 2, padding: [1, 1, 1, 1] },
  { picture: [3, 6, 4, 17], outputs: 33, kernel: [1, 1] },
  { picture: [1, 12, 8, 3], outputs: 9, kernel: [4, 4], stride: 4 },
  { picture: [1, 4, 3, 2], outputs: 3, kernel: [2, 3], padding: [3, 0, 0, 2] },
  { picture: [1, 17, 15, 32], outputs: 32, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { picture: [1, 7, 65, 8], outputs: 4, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { picture: [1, 5, 5, 88], outputs: 128, kernel: [3, 3], padding: [1, 1, 1, 1] },
];

function* convolutionCases(): Generator<CaseMaker> {
  for (const dtype of dtypes) {
    for (const [index, { picture, outputs, kernel, stride = 1, padding = noPadding }] of pictures.entries()) {
      const [batch, height, width, channels] = picture;
      const extra = extras[index % extras.length] as Extras;
      const [top, bottom, left, right] = padding;
      const rows = Math.floor((height + top + bottom - kernel[0]) / stride) + 1;
      const columns = Math.floor((width + left + right - kernel[1]) / stride) + 1;
      const label = `${dtype}-${picture.join('x')}-${kernel.join('x')}-${outputs}-stride-${stride}-${extrasText(extra)}`;
      yield makes('convolution', label, summed, (w) =>
        convolution(w.floats('x', picture), w.weight('weight', [outputs, channels, ...kernel], dtype), {
          stride,
          padding,
          activation: extra.activation ?? 'none',
          bias: extra.bias ? w.weight('bias', [outputs]) : null,
          residual: extra.residual ? w.floats('residual', [batch, rows, columns, outputs]) : null,
        }),
      );
    }
  }
}

function* matmulCases(): Generator<CaseMaker> {
  for (const precision of dtypes) {
    for (const [rows, inner, columns] of linearSizes) {
      for (const transposeA of [false, true]) {
        for (const transposeB of [false, true]) {
          const layout = `${transposeA ? 'KxM' : 'MxK'}-${transposeB ? 'NxK' : 'KxN'}`;
          yield makes('matmul', `${precision}-${rows}x${inner}x${columns}-${layout}`, summed, (w) => {
            const a = w.floats('a', transposeA ? [inner, rows] : [rows, inner]);
            const sides = transposeB ? [columns, inner] : [inner, columns];
            const b = w.floats('b', sides, Math.max(inner, 1) ** -0.5);
            return matmul(a, b, { transposeA, transposeB, precision });
          });
        }
      }
    }
    for (const [a, b] of [
      ['bf16', 'f32'],
      ['f32', 'bf16'],
      ['bf16', 'bf16'],
    ] as const) {
      yield makes('matmul', `${precision}-of-${a}-and-${b}`, summed, (w) =>
        matmul(w.floats('a', [33, 65], 1, a), w.floats('b', [65, 50], 1 / 8, b), { precision }),
      );
      yield makes('matmul', `${precision}-of-${a}-and-${b}-transposed`, summed, (w) =>
        matmul(w.floats('a', [65, 33], 1, a), w.floats('b', [50, 65], 1 / 8, b), {
          transposeA: true,
          transposeB: true,
          precision,
        }),
      );
    }
  }
}

function* convolutionGradientCases(): Generator<CaseMaker> {
  for (const precision of dtypes) {
    for (const { picture, outputs, kernel, stride = 1, padding = noPadding } of pictures) {
      const [batch, height, width, channels] = picture;
      const [top, bottom, left, right] = padding;
      const rows = Math.floor((height + top + bottom - kernel[0]) / stride) + 1;
      const columns = Math.floor((width + left + right - kernel[1]) / stride) + 1;
      const label = `${precision}-${picture.join('x')}-${kernel.join('x')}-${outputs}-stride-${stride}`;
      const sides = [batch, rows, columns, outputs];
      yield makes('convolutionGradientInput', label, summed, (w) => {
        const spread = (outputs * kernel[0] * kernel[1]) ** -0.5;
        const weight = w.weight('weight', [outputs, channels, ...kernel], precision, spread);
        return convolutionGradientInput(w.floats('dy', sides), weight, { stride, padding, height, width });
      });
      yield makes('convolutionGradientWeight', label, summed, (w) => {
        const dy = w.floats('dy', sides, Math.max(1, batch * rows * columns) ** -0.5);
        const [kernelHeight, kernelWidth] = kernel;
        const options = { stride, padding, kernelHeight, kernelWidth, precision };
        return convolutionGradientWeight(w.floats('x', picture), dy, options);
      });
    }
  }
}

export function* productCases(): Generator<CaseMaker> {
  yield* linearCases();
  yield* convolutionCases();
  yield* matmulCases();
  yield* convolutionGradientCases();
}
