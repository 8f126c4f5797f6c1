import { EmuError } from '@emu/program';

import { createScheduler, type SchedulerName } from '../diffusion/create-scheduler.js';
import { classifierFreeGuidance } from '../diffusion/guidance.js';
import { startLatents } from '../diffusion/noise.js';
import { vaeScale } from '../models/vae-program.js';
import type { LoadedModel } from '../session.js';
import { predictNoise } from './noise-predictor.js';
import { visualDecoderOf } from './visual-decoder.js';

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

/**
 * Denoises latents: f32[1,4,h,w]. With guidance above 1 both rows [conditional, unconditional] go through the U-Net
 * together; otherwise the conditional row alone. Pictures drawn at the same time share runs of the U-Net.
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
  let latents = firstLatents(task, unet.inChannels, scale, scheduler.initNoiseSigma);
  for (const [step, timestep] of scheduler.timesteps.entries()) {
    task.signal?.throwIfAborted();
    const input = scheduler.scaleModelInput(latents, step);
    const samples = guided ? [input, input] : [input];
    const noise = await predictNoise(model, shape, { samples, timestep, condition }, task.signal);
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
      {
        hint: 'Give latents of the width and height that the call asks for.',
        details: { length: latents.length, needed: count },
      },
    );
  }
  return latents.map((value) => value * Math.fround(initNoiseSigma));
}
