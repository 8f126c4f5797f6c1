import { EmuError, type Executable } from '@emu/program';

import { createScheduler, type SchedulerName } from '../diffusion/create-scheduler.js';
import { classifierFreeGuidance } from '../diffusion/guidance.js';
import { startLatents } from '../diffusion/noise.js';
import type { VisualDecoderConfig } from '../models/config.js';
import { timestepProjection, unetProgram } from '../models/unet-program.js';
import { vaeScale } from '../models/vae-program.js';
import type { LoadedModel } from '../session.js';
import { nextTask } from './next-task.js';

/** What a picture is made of and how. */
export interface PictureTask {
  /** Visual embeddings f32[N,D] row-major. */
  readonly condition: Float32Array;
  /** The same for guidance; wanted when guidanceScale is above 1. */
  readonly unconditional: Float32Array | undefined;
  /** Pixels; multiples of the VAE's scale, 8. */
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidanceScale: number;
  /** Undefined: as the checkpoint's configuration says. */
  readonly scheduler: SchedulerName | undefined;
  readonly seed: bigint;
  /** Index of the picture in its call: its own stream of noise. */
  readonly pictureIndex: number;
  /** Start latents f32[1,4,h,w] instead of noise from the seed; before the scheduler's scaling. */
  readonly latents?: Float32Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Told after every step: steps done, of how many, and the latents f32[1,4,h,w] as they are. */
export type DenoisingWatcher = (done: number, total: number, latents: Float32Array) => void | Promise<void>;

/** The picture half of a model. @throws EmuError CAPABILITY_MISSING when the model has none. */
export function visualDecoderOf(model: LoadedModel): VisualDecoderConfig {
  const { visualDecoder } = model.config;
  if (visualDecoder !== undefined && model.has('unet') && model.has('vae')) return visualDecoder;
  throw new EmuError(
    'CAPABILITY_MISSING',
    `[picture] ${model.files.name} has no visual decoder, so it makes no pictures`,
    {
      hint: 'Use the pretrained Emu with unet/ and vae/; the instruction-tuned model has none.',
    },
  );
}

/**
 * Denoises latents: f32[1,4,h,w]. With guidance above 1 both rows [conditional, unconditional] go through the U-Net
 * together; otherwise the conditional row alone.
 * @throws EmuError of the scheduler and session, or `signal.reason`.
 * Source: Emu1/models/pipeline.py, EmuGenerationPipeline.forward steps 2-4.
 */
export async function denoise(
  model: LoadedModel,
  task: PictureTask,
  watch: DenoisingWatcher = () => undefined,
): Promise<Float32Array> {
  const { unet, vae } = visualDecoderOf(model);
  await model.load('unet', { signal: task.signal });
  const scale = vaeScale(vae);
  const shape = { height: task.height / scale, width: task.width / scale };
  const scheduler = createScheduler(model.files.scheduler ?? {}, task.steps, { scheduler: task.scheduler });
  const { guided, condition } = guidanceRows(task);
  const batch = guided ? 2 : 1;
  const tokens = model.config.causalTransformer.queries;
  const executable = model.compiled(`unet/${batch}x${shape.height}x${shape.width}`, () =>
    unetProgram(unet, { batch, ...shape, tokens }, { precision: model.precision }),
  );
  let latents = firstLatents(task, unet.inChannels, scale, scheduler.initNoiseSigma);
  for (const [step, timestep] of scheduler.timesteps.entries()) {
    await nextTask(); // an abort that waits in the event loop is seen before the step
    task.signal?.throwIfAborted();
    const input = scheduler.scaleModelInput(latents, step);
    const timeFeatures = timestepProjection(
      new Array<number>(batch).fill(timestep),
      unet.blockChannels[0] ?? 0,
      unet,
    );
    const sample = guided ? repeatedTwice(input) : input;
    const noise = await predictNoise(executable, { sample, timeFeatures, condition }, task.signal);
    latents = scheduler.step(
      guided ? classifierFreeGuidance(noise, task.guidanceScale) : noise,
      step,
      latents,
    );
    await watch(step + 1, scheduler.timesteps.length, latents);
  }
  return latents;
}

function guidanceRows({ condition, unconditional, guidanceScale }: PictureTask): {
  readonly guided: boolean;
  readonly condition: Float32Array;
} {
  if (!(guidanceScale > 1)) return { guided: false, condition };
  if (unconditional?.length !== condition.length) {
    throw new EmuError('INTERNAL', '[picture] guidance needs unconditional embeddings of the same size');
  }
  const rows = new Float32Array(2 * condition.length);
  rows.set(condition);
  rows.set(unconditional, condition.length);
  return { guided: true, condition: rows };
}

async function predictNoise(
  executable: Executable,
  inputs: Readonly<Record<string, Float32Array>>,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { noise } = await executable.run(inputs, signal ? { signal } : {});
  if (noise instanceof Float32Array) return noise;
  throw new EmuError('INTERNAL', '[picture] the U-Net returned no noise');
}

function firstLatents(
  task: PictureTask,
  channels: number,
  scale: number,
  initNoiseSigma: number,
): Float32Array {
  const { width, height, seed, latents, pictureIndex: stream } = task;
  if (latents === undefined)
    return startLatents({ width, height, seed, channels, scale, initNoiseSigma, stream }).data;
  const count = (channels * width * height) / scale ** 2;
  if (latents.length !== count) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[picture] latents have ${latents.length} values, [1,${channels},${height / scale},${width / scale}] needs ${count}`,
      { details: { length: latents.length, needed: count } },
    );
  }
  return latents.map((value) => value * Math.fround(initNoiseSigma));
}

function repeatedTwice(row: Float32Array): Float32Array {
  const rows = new Float32Array(2 * row.length);
  rows.set(row);
  rows.set(row, row.length);
  return rows;
}
