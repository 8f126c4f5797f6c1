// Small networks of each kind that Emu is made of, for tests of whole gradients. tools/goldens/network_gradients.py
// writes the same networks in PyTorch.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ops from '../ops/index.js';
import type { Program } from '../program.js';
import { elementCount, type Tensor, type TensorData } from '../tensor.js';
import { trace, type Tracer, type Value } from '../trace.js';
import { gradientName } from '../gradient/index.js';
import { compare } from './op-case.js';
import { readTestTensors } from './safetensors.js';

/** A network with an output `loss` and PyTorch's answers. */
export interface GoldenNetwork {
  readonly name: string;
  readonly program: Program;
  readonly inputs: Readonly<Record<string, TensorData>>;
  /** By the names of the program's weights, all of which are differentiated. */
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly loss: number;
  /** By the names of the weights. */
  readonly gradients: Readonly<Record<string, Tensor>>;
}

/** Declares the stored tensors of one network where they are first used. */
class Network {
  constructor(
    readonly t: Tracer,
    readonly tensors: ReadonlyMap<string, Tensor>,
    readonly inputs: Record<string, TensorData>,
  ) {}

  x(name: string): Value {
    const { shape, dtype, data } = this.#stored(name);
    this.inputs[name] = data;
    return this.t.input(name, shape, dtype);
  }

  p(name: string): Value {
    return this.t.weight(name, this.#stored(name).shape);
  }

  linear(name: string, x: Value, options: ops.LinearOptions = {}): Value {
    return ops.linear(x, this.p(`${name}.weight`), { bias: this.#bias(name), ...options });
  }

  convolution(name: string, x: Value, options: ops.ConvolutionOptions = {}): Value {
    return ops.convolution(x, this.p(`${name}.weight`), { bias: this.#bias(name), ...options });
  }

  layerNorm(name: string, x: Value): Value {
    return ops.layerNorm(x, this.p(`${name}.weight`), this.p(`${name}.bias`), { epsilon: 1e-6 });
  }

  rmsNorm(name: string, x: Value): Value {
    return ops.rmsNorm(x, this.p(`${name}.weight`), { epsilon: 1e-6 });
  }

  groupNorm(name: string, x: Value, activation: ops.ActivationKind = 'none'): Value {
    const [weight, bias] = [this.p(`${name}.weight`), this.p(`${name}.bias`)];
    return ops.groupNorm(x, weight, bias, { groups: 2, epsilon: 1e-5, activation });
  }

  /** Sum of the squared differences times `factor`. */
  squared(x: Value, target: Value, factor: number): Value {
    return ops.scale(ops.sumOfSquares(ops.add(x, ops.scale(target, { factor: -1 }))), { factor });
  }

  #bias(name: string): Value | null {
    return this.tensors.has(`${name}.bias`) ? this.p(`${name}.bias`) : null;
  }

  #stored(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`there is no tensor "${name}"`);
    return tensor;
  }
}

/** Mean of the squared differences. */
function meanSquare(n: Network, x: Value, target: Value): Value {
  return n.squared(x, target, 1 / elementCount(x.shape));
}

/** [...,D] -> [...,count,D/count]. */
function heads(x: Value, count: number): Value {
  return ops.reshape(x, [...x.shape.slice(0, -1), count, x.side(-1) / count]);
}

/** [...,H,K] -> [...,H·K]. */
function merged(x: Value): Value {
  return ops.reshape(x, [...x.shape.slice(0, -2), x.side(-2) * x.side(-1)]);
}

function halves(x: Value, count: number): readonly Value[] {
  const length = x.side(-1) / count;
  return Array.from({ length: count }, (_, i) => ops.slice(x, { axis: -1, start: i * length, length }));
}

function visionTransformer(n: Network): Value {
  const patches = ops.reshape(n.convolution('patch', n.x('picture'), { stride: 2 }), [2, 6, 16]);
  const start = ops.add(ops.fill(n.t, [2, 1, 16], 0), n.p('class'));
  let x = ops.add(ops.concat([start, patches], 1), n.p('positions'));
  x = n.t.block('layer', () => {
    const [q, k, v] = halves(n.linear('qkv', n.layerNorm('norm1', x)), 3).map((part) => heads(part, 2));
    const attended = ops.attention(q as Value, k as Value, v as Value, { scale: 8 ** -0.5 });
    const y = n.linear('attention', merged(attended), { residual: x });
    const hidden = n.linear('up', n.layerNorm('norm2', y), { activation: 'gelu' });
    return n.linear('down', hidden, { residual: y });
  });
  return meanSquare(n, x, n.x('target'));
}

function positionBiasTransformer(n: Network): Value {
  let x = n.x('queries');
  const [memory, target, buckets] = [n.x('memory'), n.x('target'), n.x('buckets')];
  const bias = ops.permute(ops.embedding(n.p('positions'), buckets), [2, 0, 1]);
  x = n.t.block('self', () => {
    const normal = n.rmsNorm('norm1', x);
    const [q, k, v] = ['q', 'k', 'v'].map((name) => heads(n.linear(name, normal), 3));
    const attended = ops.attention(q as Value, k as Value, v as Value, { scale: 1, bias, causal: true });
    return n.linear('o', merged(attended), { residual: x });
  });
  x = n.t.block('cross', () => {
    const q = heads(n.linear('cross.q', n.rmsNorm('norm2', x)), 3);
    const [k, v] = ['cross.k', 'cross.v'].map((name) => heads(n.linear(name, memory), 3));
    const y = n.linear('cross.o', merged(ops.attention(q, k as Value, v as Value, { scale: 1 })), {
      residual: x,
    });
    const hidden = n.linear('up', n.rmsNorm('norm3', y), { activation: 'relu' });
    return n.linear('down', hidden, { residual: y });
  });
  return meanSquare(n, n.rmsNorm('norm4', x), target);
}

function languageModel(n: Network): Value {
  const [rows, length] = [2, 6];
  const [position, firstKey] = [n.x('position'), n.x('firstKey')];
  const [pictureRows, pictures] = [n.x('pictureRows'), n.x('pictures')];
  const table = n.p('table');
  let x = ops.replaceRows(ops.embedding(table, n.x('ids')), n.linear('project', pictures), pictureRows);
  for (const layer of [0, 1]) {
    x = n.t.block(`layer${layer}`, () => {
      const normal = n.rmsNorm(`${layer}.norm1`, x);
      const [q, k, v] = ['q', 'k', 'v'].map((name) => {
        const part = heads(n.linear(`${layer}.${name}`, normal), 2);
        const turned = name === 'v' ? part : ops.rotaryEmbedding(part, position, { theta: 100 });
        return ops.reshape(turned, [rows, length, 2, 8]);
      });
      const options = { scale: 8 ** -0.5, causal: true, firstKey };
      const attended = ops.attention(q as Value, k as Value, v as Value, options);
      const y = n.linear(`${layer}.o`, ops.reshape(attended, [rows * length, 16]), { residual: x });
      const second = n.rmsNorm(`${layer}.norm2`, y);
      const [gate, up] = [n.linear(`${layer}.gate`, second), n.linear(`${layer}.up`, second)];
      return n.linear(`${layer}.down`, ops.gatedActivation(gate, up, 'silu'), { residual: y });
    });
  }
  x = n.rmsNorm('norm', x);
  const entropy = ops.crossEntropy(ops.linear(x, table), n.x('textTarget'));
  const text = ops.scale(ops.sumTo(entropy, [1]), { factor: 1 / 7 });
  const regressed = n.linear('regress', ops.gatherRows(x, n.x('rowsBeforePictures')));
  const visual = ops.squaredError(regressed, ops.stopGradient(pictures));
  return ops.add(text, ops.scale(ops.sumTo(visual, [1]), { factor: 1 / 3 }));
}

function residualBlock(n: Network, name: string, x: Value, time: Value | null): Value {
  let h = n.convolution(`${name}.conv1`, n.groupNorm(`${name}.norm1`, x, 'silu'), { padding: 1 });
  if (time !== null) {
    const shift = n.linear(`${name}.time`, time);
    h = ops.add(h, ops.reshape(shift, [shift.side(0), 1, 1, shift.side(1)]));
  }
  const skip = x.side(-1) === h.side(-1) ? x : n.convolution(`${name}.shortcut`, x);
  const normal = n.groupNorm(`${name}.norm2`, h, 'silu');
  return n.convolution(`${name}.conv2`, normal, { padding: 1, residual: skip });
}

function spatialTransformer(n: Network, name: string, x: Value, condition: Value): Value {
  const [B, H, W, C] = [x.side(0), x.side(1), x.side(2), x.side(3)];
  let h = ops.reshape(n.convolution(`${name}.in`, n.groupNorm(`${name}.norm`, x)), [B, H * W, C]);
  for (const kind of ['self', 'cross']) {
    const normal = n.layerNorm(`${name}.${kind}.norm`, h);
    const source = kind === 'self' ? normal : condition;
    const q = heads(n.linear(`${name}.${kind}.q`, normal), 2);
    const [k, v] = ['k', 'v'].map((part) => heads(n.linear(`${name}.${kind}.${part}`, source), 2));
    const attended = ops.attention(q, k as Value, v as Value, { scale: (C / 2) ** -0.5 });
    h = n.linear(`${name}.${kind}.o`, merged(attended), { residual: h });
  }
  const [up, gate] = halves(n.linear(`${name}.wide`, n.layerNorm(`${name}.norm3`, h)), 2);
  const gated = ops.gatedActivation(gate as Value, up as Value, 'gelu');
  h = n.linear(`${name}.narrow`, gated, { residual: h });
  return n.convolution(`${name}.out`, ops.reshape(h, x.shape), { residual: x });
}

function upsampled(x: Value): Value {
  return ops.upsampleNearest(x, { height: 2 * x.side(1), width: 2 * x.side(2) });
}

function unet(n: Network): Value {
  const [latents, condition, noise] = [n.x('latents'), n.x('condition'), n.x('noise')];
  const time = n.linear('time2', n.linear('time1', n.x('time'), { activation: 'silu' }), {
    activation: 'silu',
  });
  const skip = n.convolution('in', latents, { padding: 1 });
  const fine = n.t.block('block1', () => residualBlock(n, 'block1', skip, time));
  const small = n.convolution('down', fine, { stride: 2, padding: 1 });
  const middle = n.t.block('middle', () =>
    spatialTransformer(n, 'attention', residualBlock(n, 'block2', small, time), condition),
  );
  const x = n.convolution('up', upsampled(middle), { padding: 1 });
  const last = n.t.block('block3', () => residualBlock(n, 'block3', ops.concat([x, skip], -1), time));
  return meanSquare(n, n.convolution('out', n.groupNorm('norm', last, 'silu'), { padding: 1 }), noise);
}

function autoencoder(n: Network): Value {
  const picture = n.x('picture');
  let x = residualBlock(n, 'encode.block', n.convolution('encode.in', picture, { padding: 1 }), null);
  x = n.convolution('encode.down', x, { stride: 2, padding: [0, 1, 0, 1] });
  const normal = ops.reshape(n.groupNorm('encode.norm', x), [2, 6, 8]);
  const [q, k, v] = ['q', 'k', 'v'].map((name) => heads(n.linear(`encode.${name}`, normal), 1));
  const attended = ops.attention(q as Value, k as Value, v as Value, { scale: 8 ** -0.5 });
  x = ops.add(x, ops.reshape(n.linear('encode.o', merged(attended)), x.shape));
  const [mean, logVariance] = halves(n.convolution('encode.moments', x), 2) as [Value, Value];
  const deviation = ops.exponential(ops.scale(logVariance, { factor: 0.5 }));
  const z = ops.add(mean, ops.multiply(deviation, n.x('noise')));
  x = upsampled(n.convolution('decode.in', z, { padding: 1 }));
  x = residualBlock(n, 'decode.block', n.convolution('decode.up', x, { padding: 1 }), null);
  const reconstruction = meanSquare(n, n.convolution('decode.out', x, { padding: 1 }), picture);
  const spread = ops.add(ops.exponential(logVariance), ops.scale(logVariance, { factor: -1, offset: -1 }));
  const divergence = ops.add(ops.sumOfSquares(mean), ops.sumTo(spread, [1]));
  return ops.add(reconstruction, ops.scale(divergence, { factor: 0.005 }));
}

const builders: Readonly<Record<string, (n: Network) => Value>> = {
  'vision-transformer': visionTransformer,
  'position-bias-transformer': positionBiasTransformer,
  'language-model': languageModel,
  unet,
  autoencoder,
};

/** All networks with the answers of testdata/gradients. */
export function goldenNetworks(): readonly GoldenNetwork[] {
  const all = [...readTestTensors(storedNetworks())];
  return Object.entries(builders).map(([name, build]) => {
    const tensors = new Map(
      all.flatMap(([key, tensor]) =>
        key.startsWith(`${name}/`) ? [[key.slice(name.length + 1), tensor]] : [],
      ),
    );
    return goldenNetwork(name, build, tensors);
  });
}

function goldenNetwork(
  name: string,
  build: (n: Network) => Value,
  tensors: ReadonlyMap<string, Tensor>,
): GoldenNetwork {
  const inputs: Record<string, TensorData> = {};
  const program = trace(name, (t) => {
    t.output('loss', build(new Network(t, tensors, inputs)));
  });
  const named = (prefix: string): Record<string, Tensor> =>
    Object.fromEntries(
      program.weights.flatMap((weight) => {
        const tensor = tensors.get(prefix + weight.name);
        return tensor === undefined ? [] : [[weight.name, tensor]];
      }),
    );
  const loss = Number(tensors.get('=loss')?.data[0]);
  return { name, program, inputs, weights: named(''), loss, gradients: named('=gradient.') };
}

/**
 * One sentence for each gradient that is not PyTorch's; `got` are outputs of a gradient program. An element may be off
 * by `relative` of itself, a tenth of that of the largest in its tensor, since sums of terms that cancel are only as
 * exact as their terms, and a ten-thousandth of that of the largest of all, since some gradients are zero (a bias of
 * keys shifts all scores alike).
 */
export function gradientProblems(
  network: GoldenNetwork,
  got: Readonly<Record<string, TensorData>>,
  relative: number,
): readonly string[] {
  const all = Object.entries(network.gradients);
  const floor = Math.max(...all.map(([, tensor]) => largest(tensor)));
  const [loss] = got['loss'] ?? [];
  const problems = all.map(([name, expected]) => {
    const absolute = relative * (0.1 * largest(expected) + 1e-4 * floor);
    const tolerance = { absolute, relative, reason: 'some thirty layers, each rounded to f32' };
    return compare(name, got[gradientName(name)], expected, tolerance).problem;
  });
  const isLoss = Math.abs(Number(loss) - network.loss) <= 1e-6 * Math.abs(network.loss);
  return [
    ...(isLoss ? [] : [`loss is ${Number(loss)}, expected ${network.loss}`]),
    ...problems.filter((problem) => problem !== null),
  ];
}

function largest({ data }: Tensor): number {
  return data instanceof Float32Array
    ? data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    : NaN;
}

/** The stored answers of the checkout this module lies in. */
function storedNetworks(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'testdata', 'gradients', 'networks.safetensors');
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) throw new Error('testdata lies in a checkout of the repository only');
  }
}
