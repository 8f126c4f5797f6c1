import { deflateSync, crc32 } from 'node:zlib';
import { join } from 'node:path';

import {
  add,
  crossEntropy,
  elementCount,
  layerNorm,
  linear,
  matmul,
  Philox,
  reshape,
  scale,
  squaredError,
  trace,
  type DType,
  type Program,
  type Value,
} from '@emu/program';

import { trainerOptions, type Recipe } from '../train/recipe/schema.js';
import type {
  BatchStream,
  TrainedWeights,
  TrainingBatch,
  TrainingParameter,
  TrainingTask,
} from '../train/task.js';
import { writeSafetensors } from '../weights/index.js';

/*
 * A network of two layers that really learns: it sorts points of 8 numbers into 4 classes and copies their first half.
 * The classes are quadrants of the first two numbers, the points come from a counter.
 */
const width = { input: 8, hidden: 24, classes: 4, copied: 4 };

const parameters: readonly TrainingParameter[] = [
  { name: 'frozen.projection', shape: [width.input, width.input], trainable: false, group: 'frozen' },
  { name: 'body.weight', shape: [width.hidden, width.input], trainable: true, group: 'body' },
  { name: 'body.bias', shape: [width.hidden], trainable: true, group: 'body' },
  { name: 'norm.weight', shape: [width.hidden], trainable: true, group: 'body' },
  { name: 'norm.bias', shape: [width.hidden], trainable: true, group: 'body' },
  { name: 'head.classes.weight', shape: [width.classes, width.hidden], trainable: true, group: 'head' },
  { name: 'head.copy.weight', shape: [width.copied, width.hidden], trainable: true, group: 'head' },
];

export interface SmallTaskOptions {
  readonly batchSize: number;
  readonly seed: number;
  /** Dtype of the matrices. */
  readonly matrices?: DType;
  /** Batches until the data ends; without end by default. */
  readonly batches?: number;
  /** Index of a batch with an infinity in its input. */
  readonly poisoned?: number;
}

/** A task that trains in milliseconds. */
export function smallTask(options: SmallTaskOptions): TrainingTask {
  return {
    name: 'small',
    parameters,
    programKeys: ['points'],
    program: () => forwardProgram(options),
    batches: (from) => pointStream(options, typeof from === 'number' ? from : 0, options.batches ?? Infinity),
    heldOutBatches: () => pointStream({ ...options, seed: options.seed + 1, poisoned: -1 }, 0, 2),
    initial: (name) => ({ kind: 'data', dtype: 'f32', data: initialValues(name, options.seed) }),
    samples: async ({ step, weights }) => [
      {
        kind: 'text',
        name: 'norm',
        prompt: 'size of the <body>',
        text: `${step}: ${norm(await weights.read('body.weight')).toFixed(6)}`,
      },
      { kind: 'image', name: 'dot', prompt: 'a grey dot', png: onePixelPng(step % 256) },
    ],
    save: saveWeights,
  };
}

/** A recipe for the task, with defaults that suit it. */
export function smallRecipe(folder: string, changes: Partial<Recipe> = {}): Recipe {
  return trainerOptions.parse({
    stage: 'small',
    output_dir: folder,
    max_steps: 20,
    learning_rate: 0.02,
    logging_steps: 3,
    save_steps: 5,
    ...changes,
  });
}

function forwardProgram({ batchSize, matrices = 'f32' }: SmallTaskOptions): Program {
  return trace('small', (tracer) => {
    const weight = (name: string, dtype: DType = 'f32'): Value => {
      const shape = parameters.find((parameter) => parameter.name === name)?.shape ?? [];
      return tracer.weight(name, shape, dtype);
    };
    const x = tracer.input('x', [batchSize, width.input]);
    const turned = linear(x, weight('frozen.projection'));
    const hidden = tracer.block('body', () => {
      const body = linear(turned, weight('body.weight', matrices), {
        bias: weight('body.bias'),
        activation: 'gelu',
      });
      return layerNorm(body, weight('norm.weight'), weight('norm.bias'), { epsilon: 1e-6 });
    });
    const logits = linear(hidden, weight('head.classes.weight', matrices));
    const copied = linear(hidden, weight('head.copy.weight', matrices));
    const text = mean(crossEntropy(logits, tracer.input('class', [batchSize], 'i32')));
    const visual = mean(squaredError(copied, tracer.input('copied', [batchSize, width.copied])));
    tracer.output('loss', add(text, visual));
    tracer.output('loss.text', text);
    tracer.output('loss.visual', visual);
  });
}

/** f32[R] -> f32[1]. */
function mean(x: Value): Value {
  const rows = x.side(0);
  const ones = scale(reshape(x, [rows, 1]), { factor: 0, offset: 1 });
  return reshape(scale(matmul(reshape(x, [1, rows]), ones), { factor: 1 / rows }), [1]);
}

function pointStream(options: SmallTaskOptions, from: number, end: number): BatchStream {
  let index = from;
  return {
    next: () => Promise.resolve(index < end ? pointBatch(options, index++) : undefined),
    position: () => index,
    close: () => Promise.resolve(),
  };
}

function pointBatch({ batchSize, seed, poisoned }: SmallTaskOptions, index: number): TrainingBatch {
  // Every point has a stream of its own, so two batches of 4 hold the points of one batch of 8.
  const x = new Float32Array(batchSize * width.input);
  for (let row = 0; row < batchSize; row++) {
    const random = new Philox(seed, index * batchSize + row);
    for (let at = 0; at < width.input; at++) x[row * width.input + at] = random.nextNormal();
  }
  const classes = Int32Array.from({ length: batchSize }, (_, row) => classOf(x, row));
  const copied = Float32Array.from(
    { length: batchSize * width.copied },
    (_, at) => x[Math.floor(at / width.copied) * width.input + (at % width.copied)] ?? 0,
  );
  if (index === poisoned) x[5] = Infinity;
  return {
    program: 'points',
    inputs: { x, class: classes, copied },
    counts: { samples: batchSize, tokens: batchSize * width.input, images: 0 },
    label: `points ${index * batchSize}..${(index + 1) * batchSize - 1}`,
  };
}

/** The quadrant of the first two numbers. */
function classOf(x: Float32Array, row: number): number {
  const [a = 0, b = 0] = x.subarray(row * width.input);
  return (a > 0 ? 2 : 0) + (b > 0 ? 1 : 0);
}

function initialValues(name: string, seed: number): Float32Array {
  const index = parameters.findIndex((parameter) => parameter.name === name);
  const shape = parameters[index]?.shape ?? [];
  const random = new Philox(seed, 1000 + index);
  if (name === 'norm.weight') return new Float32Array(elementCount(shape)).fill(1);
  if (shape.length < 2) return new Float32Array(elementCount(shape));
  const deviation = 1 / Math.sqrt(shape[1] ?? 1);
  return Float32Array.from({ length: elementCount(shape) }, () => deviation * random.nextNormal());
}

async function saveWeights(weights: TrainedWeights, folder: string): Promise<void> {
  const tensors = weights.parameters.map(({ name, shape }) => ({
    name,
    shape,
    dtype: 'f32' as const,
    read: () => weights.read(name),
  }));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
}

function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

/** A PNG of one pixel, without a picture library. */
function onePixelPng(shade: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    out.set(body, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])),
    chunk('IDAT', deflateSync(Buffer.from([0, shade, shade, shade]))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
