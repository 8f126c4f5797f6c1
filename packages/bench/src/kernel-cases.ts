import { attention, convolution, linear, trace, type DType } from '@emu/program';

import type { BenchCase } from './bench-case.js';

type WeightDtype = 'f32' | 'bf16';
const dtypes: readonly WeightDtype[] = ['f32', 'bf16'];

const linearSizes = [
  { rows: 512, inputs: 512, outputs: 512 },
  { rows: 2048, inputs: 2048, outputs: 2048 },
  { rows: 512, inputs: 5120, outputs: 13824 },
  { rows: 1, inputs: 5120, outputs: 13824 },
  { rows: 32, inputs: 5120, outputs: 13824 },
];

const attentionSizes = [
  { name: 'causal', length: 512, heads: 32, headWidth: 128, causal: true },
  { name: 'causal', length: 2048, heads: 32, headWidth: 128, causal: true },
  { name: 'vision', length: 257, heads: 16, headWidth: 88, causal: false },
];

// Pictures of 512 by 512 pass the U-Net as [2,64,64,320] and smaller.
const convolutionSizes = [
  { side: 64, inputs: 320, outputs: 320 },
  { side: 64, inputs: 960, outputs: 320 },
  { side: 32, inputs: 640, outputs: 640 },
  { side: 16, inputs: 1280, outputs: 1280 },
  { side: 8, inputs: 1280, outputs: 1280 },
];

/** Matrix products, attention and convolutions at the sizes of Emu, and what a run costs beside its kernels. */
export function kernelCases(): readonly BenchCase[] {
  return [
    ...linearSizes.flatMap((sizes) => dtypes.map((dtype) => linearCase(sizes, dtype))),
    ...attentionSizes.map(attentionCase),
    ...convolutionSizes.flatMap((sizes) => dtypes.map((dtype) => convolutionCase(sizes, dtype))),
    overheadCase(),
  ];
}

/** Four multiplications: all of the time is the way from JavaScript to the kernels and back. */
function overheadCase(): BenchCase {
  return {
    name: 'program call overhead',
    suite: 'kernels',
    program: () =>
      trace('almost empty', (t) => {
        t.output('y', linear(t.input('x', [1, 4]), t.weight('w', [1, 4])));
      }),
    work: { kind: 'call', runs: 2000, targetMicroseconds: 20 },
  };
}

function linearCase(sizes: { rows: number; inputs: number; outputs: number }, dtype: WeightDtype): BenchCase {
  const { rows, inputs, outputs } = sizes;
  const weights = inputs * outputs;
  // Below about eight rows a product waits for its weights, not for arithmetic.
  const isMemoryBound = rows < 8;
  return {
    name: `linear ${dtype} ${rows}x${inputs}x${outputs}`,
    suite: 'kernels',
    program: () =>
      trace('linear', (t) => {
        t.output('y', linear(t.input('x', [rows, inputs]), t.weight('w', [outputs, inputs], dtype)));
      }),
    work: isMemoryBound
      ? { kind: 'bytes', amount: weights * (dtype === 'f32' ? 4 : 2), dtype }
      : { kind: 'flops', amount: 2 * rows * weights, dtype },
    peer: { kind: 'linear', dtype, sizes },
  };
}

function attentionCase(sizes: (typeof attentionSizes)[number]): BenchCase {
  const { length, heads, headWidth, causal } = sizes;
  const pairs = causal ? (length * (length + 1)) / 2 : length * length;
  return {
    name: `attention ${sizes.name} f32 S=${length} ${heads}x${headWidth}`,
    suite: 'kernels',
    program: () =>
      trace('attention', (t) => {
        const shape = [1, length, heads, headWidth];
        const [q, k, v] = ['q', 'k', 'v'].map((name) => t.input(name, shape)) as [never, never, never];
        t.output('y', attention(q, k, v, { scale: headWidth ** -0.5, causal }));
      }),
    work: { kind: 'flops', amount: 4 * pairs * heads * headWidth, dtype: 'f32' },
    peer: {
      kind: 'attention',
      dtype: 'f32',
      sizes: { length, heads, headWidth, causal: causal ? 1 : 0 },
    },
  };
}

function convolutionCase(
  sizes: { side: number; inputs: number; outputs: number },
  dtype: WeightDtype,
): BenchCase {
  const { side, inputs, outputs } = sizes;
  const weightDtype: DType = dtype;
  return {
    name: `convolution ${dtype} 3x3 [2,${side},${side},${inputs}]->${outputs}`,
    suite: 'kernels',
    program: () =>
      trace('convolution', (t) => {
        const x = t.input('x', [2, side, side, inputs]);
        const weight = t.weight('w', [outputs, inputs, 3, 3], weightDtype);
        t.output('y', convolution(x, weight, { bias: t.weight('b', [outputs]), padding: [1, 1, 1, 1] }));
      }),
    work: { kind: 'flops', amount: 2 * 2 * side * side * 9 * inputs * outputs, dtype },
    peer: { kind: 'convolution', dtype, sizes: { batch: 2, ...sizes } },
  };
}
