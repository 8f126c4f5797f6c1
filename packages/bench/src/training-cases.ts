import { readFile } from 'node:fs/promises';

import { Philox, type Program, type TensorData } from '@emu/program';
import { vaeScale, type EmuConfig, type LlamaConfig } from '@emu/sdk/models';
import { autoencoderProgram, noiseProgram, unifiedProgram } from '@emu/sdk/train';

type ComputeDtype = 'f32' | 'bf16';

/** One training step of ours, and what PyTorch is asked to do with the same sizes. */
export interface TrainingCase {
  readonly name: string;
  readonly dtype: ComputeDtype;
  /** Only borders of layers are held until the backward pass, which runs each layer once more. PyTorch holds all. */
  readonly recompute: boolean;
  /** Forward program with output `loss`. */
  readonly program: Program;
  readonly inputs: () => Readonly<Record<string, TensorData>>;
  /** What a step learns from, the unit of its speed. */
  readonly amount: { readonly count: number; readonly unit: 'tokens/s' | 'pictures/s' };
  /** The case as peers/torch_training.py understands it. */
  readonly peer: { readonly kind: string; readonly dtype: ComputeDtype; readonly sizes: object };
}

const llamaSizes = [
  // 17.3 M parameters.
  { label: '17M', rows: 8, length: 256, vocabulary: 4096, width: 384, layers: 8, feedForwardWidth: 1024 },
  // 134.1 M parameters.
  { label: '134M', rows: 2, length: 512, vocabulary: 32000, width: 768, layers: 12, feedForwardWidth: 2048 },
] as const;

const headWidth = 64;

/** LLaMA steps of two sizes, the larger also with its layers computed again, and the steps of emu-tiny's VAE and U-Net at the batches of its recipes. */
export async function trainingCases(): Promise<readonly TrainingCase[]> {
  const path = new URL('../../../models/emu-tiny.json', import.meta.url);
  const config = JSON.parse(await readFile(path, 'utf8')) as EmuConfig;
  return (['f32', 'bf16'] as const).flatMap((dtype) => [
    ...llamaSizes.map((sizes) => llamaCase(config, sizes, dtype)),
    recomputed(llamaCase(config, llamaSizes[1], dtype)),
    vaeCase(config, dtype),
    unetCase(config, dtype),
  ]);
}

function recomputed(held: TrainingCase): TrainingCase {
  return { ...held, name: `${held.name} recomputed`, recompute: true };
}

function llamaCase(
  config: EmuConfig,
  { label, rows, length, ...sizes }: (typeof llamaSizes)[number],
  dtype: ComputeDtype,
): TrainingCase {
  const heads = sizes.width / headWidth;
  const llama: LlamaConfig = { ...config.llama, ...sizes, heads, contextLength: length };
  const places = rows * length;
  const shape = { rows, length, pictures: 0, textTargets: places };
  return {
    name: `LLaMA step ${label} ${dtype} ${rows}x${length}`,
    dtype,
    recompute: false,
    program: unifiedProgram({ ...config, llama }, shape, { precision: { matrices: dtype } }),
    inputs: () => ({
      ids: wholeNumbers(places, llama.vocabulary, 1),
      position: Int32Array.from({ length: places }, (_, place) => place % length),
      firstKey: new Int32Array(places),
      textIndex: Int32Array.from({ length: places }, (_, place) => place),
      textTarget: wholeNumbers(places, llama.vocabulary, 2),
      textWeight: new Float32Array(places).fill(1 / places),
    }),
    amount: { count: places, unit: 'tokens/s' },
    peer: { kind: 'llama', dtype, sizes: { ...llama, rows, length } },
  };
}

function vaeCase({ visualDecoder }: EmuConfig, dtype: ComputeDtype): TrainingCase {
  if (visualDecoder === undefined) throw new RangeError('the model has no VAE to train');
  const { vae } = visualDecoder;
  const [batch, side] = [16, 64];
  const latent = side / vaeScale(vae);
  const weights = { l1Weight: 1, l2Weight: 1, klWeight: 3e-4 };
  return {
    name: `VAE step emu-tiny ${dtype} ${batch}x${side}x${side}`,
    dtype,
    recompute: false,
    program: autoencoderProgram(
      vae,
      { batch, height: side, width: side },
      { ...weights, precision: { matrices: dtype } },
    ),
    inputs: () => ({
      image: normals(batch * vae.inChannels * side * side, 1),
      noise: normals(batch * vae.latentChannels * latent * latent, 2),
    }),
    amount: { count: batch, unit: 'pictures/s' },
    peer: { kind: 'vae', dtype, sizes: { ...vae, ...weights, batch, side } },
  };
}

function unetCase({ visualDecoder, causalTransformer }: EmuConfig, dtype: ComputeDtype): TrainingCase {
  if (visualDecoder === undefined) throw new RangeError('the model has no U-Net to train');
  const { unet } = visualDecoder;
  const [batch, tokens] = [32, causalTransformer.queries];
  const { sampleSize: side, inChannels, crossAttentionWidth } = unet;
  const latents = batch * inChannels * side * side;
  return {
    name: `U-Net step emu-tiny ${dtype} ${batch}x${side}x${side}`,
    dtype,
    recompute: false,
    program: noiseProgram(
      unet,
      { batch, height: side, width: side, tokens },
      { precision: { matrices: dtype } },
    ),
    inputs: () => ({
      sample: normals(latents, 1),
      timeFeatures: normals(batch * (unet.blockChannels[0] ?? 0), 2),
      condition: normals(batch * tokens * crossAttentionWidth, 3),
      target: normals(latents, 4),
    }),
    amount: { count: batch, unit: 'pictures/s' },
    peer: { kind: 'unet', dtype, sizes: { ...unet, batch, tokens } },
  };
}

function wholeNumbers(count: number, below: number, stream: number): Int32Array {
  const random = new Philox(stream);
  return Int32Array.from({ length: count }, () => Math.floor(below * random.nextFloat()));
}

function normals(count: number, stream: number): Float32Array {
  const random = new Philox(stream);
  return Float32Array.from({ length: count }, () => random.nextNormal());
}
