import type { Shape } from '@emu/program';

import type { ComponentName } from '../models/components.js';
import type { EmuConfig } from '../models/config.js';

/** How the values of a fresh tensor are drawn. */
export type Initialisation =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'normal'; readonly deviation: number }
  /** Normal, drawn again beyond two deviations. */
  | { readonly kind: 'truncated-normal'; readonly deviation: number }
  /** Uniform in -bound..bound. */
  | { readonly kind: 'uniform'; readonly bound: number }
  /**
   * Rows of `width` numbers, the first of zeros, then one for each place of a grid of `side` rows by `side` columns:
   * sines and cosines of its row and of its column, times `amplitude`.
   */
  | {
      readonly kind: 'grid-waves';
      readonly side: number;
      readonly width: number;
      readonly amplitude: number;
    };

const zeros: Initialisation = { kind: 'constant', value: 0 };
const ones: Initialisation = { kind: 'constant', value: 1 };

function normal(deviation: number): Initialisation {
  return { kind: 'normal', deviation };
}

/** Inputs of one output: all axes but the first. */
function fanIn(shape: Shape): number {
  return Math.max(
    1,
    shape.slice(1).reduce((count, side) => count * side, 1),
  );
}

/** What PyTorch draws for linear layers and convolutions that nobody initialises: Kaiming's bound with a = sqrt(5). */
function kaimingUniform(shape: Shape): Initialisation {
  return { kind: 'uniform', bound: 1 / Math.sqrt(fanIn(shape)) };
}

/** The width of EVA's vision encoder, for which its deviation of 0.02 is meant. */
const evaWidth = 1408;

/**
 * EVA-ViT: truncated normal of 0.02 for matrices and class token, the patch convolution as PyTorch draws it; the output
 * matrices of layer l (from 1) divided by sqrt(2 l), so that the residual stream does not grow with depth. Source: BEiT
 * (Bao et al. 2021), section 2.5, which EVA follows. Two departures, without which a narrow encoder that starts from
 * nothing attends evenly for very long and sees textures but neither shapes nor places: the deviation is carried to other
 * widths at equal gain, and positions begin as waves over the grid (Beyer et al. 2022) about as strong as the patches.
 */
function visualInitialisation(name: string, shape: Shape, { visual }: EmuConfig): Initialisation {
  if (name.includes('patch_embed')) return kaimingUniform(shape);
  const { width } = visual;
  if (name.endsWith('pos_embed')) {
    return { kind: 'grid-waves', side: visual.imageSize / visual.patchSize, width, amplitude: 0.5 };
  }
  const deviation = 0.02 * Math.sqrt(evaWidth / width);
  const output = /blocks\.(\d+)\.(?:attn\.proj|mlp\.fc2)\.weight$/.exec(name);
  const layer = output ? Number(output[1]) + 1 : undefined;
  return {
    kind: 'truncated-normal',
    deviation: layer === undefined ? deviation : deviation / Math.sqrt(2 * layer),
  };
}

/**
 * T5: deviations from the widths, because T5's attention does not divide its scores by sqrt(K): 1/sqrt(D K) for
 * queries, 1/sqrt(inputs) for the other matrices, 1/sqrt(D) for the position table; learned queries have deviation 1
 * like T5's token table. Source: Raffel et al. 2020 with the initialisation of Mesh TensorFlow.
 */
function causalInitialisation(name: string, shape: Shape, { causalTransformer }: EmuConfig): Initialisation {
  const { width, headWidth } = causalTransformer;
  if (name.endsWith('causal_tokens')) return normal(1);
  if (name.endsWith('relative_attention_bias.weight')) return normal(width ** -0.5);
  if (name.endsWith('.q.weight')) return normal((width * headWidth) ** -0.5);
  return normal(fanIn(shape) ** -0.5);
}

/** LLaMA: normal of 0.02 everywhere, as its `initializer_range` says; adapters add nothing at first (Hu et al. 2021). */
function llamaInitialisation(name: string, shape: Shape): Initialisation {
  if (name.includes('.lora_A.')) return kaimingUniform(shape);
  if (name.includes('.lora_B.')) return zeros;
  return normal(0.02);
}

/**
 * The initialisation of one tensor: biases 0, norms 1, matrices and tables by the part of the model they belong to.
 * U-Net and VAE matrices and kernels are drawn as PyTorch does by default, which is what diffusers trains from.
 */
export function initialisationOf(
  component: ComponentName,
  name: string,
  shape: Shape,
  config: EmuConfig,
): Initialisation {
  if (/(?:^|[._])bias$/.test(name)) return zeros;
  // Vectors called weight are those of norms.
  if (shape.length === 1 && name.endsWith('weight')) return ones;
  if (component !== 'multimodal') return kaimingUniform(shape);
  if (name.startsWith('visual.')) return visualInitialisation(name, shape, config);
  if (name.startsWith('cformer.')) return causalInitialisation(name, shape, config);
  return llamaInitialisation(name, shape);
}
