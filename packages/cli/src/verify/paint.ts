import { createScheduler } from '@emu/sdk/diffusion';
import { blackened, checkSafety, decodePicture, denoise, rollOutImage, Sequence } from '@emu/sdk/generate';
import { preprocessForEncoder, type Pixels } from '@emu/sdk/image';
import { timestepProjection, unetProgram, vaeDecodeProgram, vaeScale } from '@emu/sdk/models';

import { encodePictures, imagePlaceholder, templateIds, withImageRows } from './prompts.js';
import type { Subject } from './subject.js';

/** A picture of the authors' pipeline: its prompt in parts, and the noise it began with. */
export interface PaintCase {
  readonly parts: readonly (string | Pixels)[];
  readonly height: number;
  readonly width: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly latents: Float32Array;
}

/** Everything on the way to a picture. */
export interface Painted {
  /** f32[rows,N,D], rows [cond, uncond] or [cond]. */
  readonly condition: Float32Array;
  readonly timesteps: readonly number[];
  /** Latents after every step. */
  readonly latents: readonly Float32Array[];
  readonly firstNoise: Float32Array;
  /** f32[H,W,3] in 0..1. */
  readonly image: Float32Array;
  /** u8[H,W,3], black when the safety checker fired. */
  readonly pixels: Uint8Array;
  readonly flagged: boolean;
}

/** Paints a case with the product's own loop, keeping what the reference kept. Source: Emu1/models/pipeline.py. */
export async function paintCase(subject: Subject, paint: PaintCase): Promise<Painted> {
  const { model } = subject;
  const guided = paint.guidanceScale > 1;
  const condition = await conditionRows(subject, paint, guided);
  const half = guided ? condition.length / 2 : condition.length;
  const latents: Float32Array[] = [];
  const last = await denoise(
    model,
    {
      ...paint,
      condition: condition.slice(0, half),
      unconditional: guided ? condition.slice(half) : undefined,
      scheduler: undefined,
      seed: 0n,
      pictureIndex: 0,
    },
    (_done, _total, state) => void latents.push(state.slice()),
  );
  const { vae } = decoderConfig(subject);
  const size = { height: paint.height / vaeScale(vae), width: paint.width / vaeScale(vae) };
  const picture = await decodePicture(model, last, size);
  const { flagged } = model.has('safety') ? await checkSafety(model, picture) : { flagged: false };
  return {
    condition,
    timesteps: createScheduler(subject.schedulerConfig, paint.steps).timesteps,
    latents,
    firstNoise: await firstNoise(subject, paint, condition),
    image: await unroundedPicture(subject, size, last),
    pixels: (flagged ? blackened(picture) : picture).data,
    flagged,
  };
}

async function conditionRows(subject: Subject, { parts }: PaintCase, guided: boolean): Promise<Float32Array> {
  const pictures = parts.filter((part) => typeof part !== 'string');
  const size = subject.config.visual.imageSize;
  const rows =
    pictures.length === 0
      ? []
      : (
          await encodePictures(
            subject,
            pictures.map((picture) => preprocessForEncoder(picture, size).data),
          )
        ).flat();
  const prompt = parts.map((part) => (typeof part === 'string' ? part : imagePlaceholder(subject))).join('');
  const wanted = [{ prompt, rows }, ...(guided ? [{ prompt: '', rows: [] }] : [])];
  const rolled = [];
  for (const { prompt: words, rows: images } of wanted) rolled.push(await rollOut(subject, words, images));
  const joined = new Float32Array(rolled.reduce((sum, part) => sum + part.length, 0));
  rolled.forEach((part, index) => {
    joined.set(part, index * part.length);
  });
  return joined;
}

async function rollOut(
  subject: Subject,
  prompt: string,
  rows: readonly Float32Array[],
): Promise<Float32Array> {
  const ids = templateIds(subject, `${prompt}[IMG]`);
  const sequence = Sequence.open(subject.decoder);
  try {
    await sequence.extend(withImageRows(subject, ids.slice(0, -1), rows), []);
    const { queries } = subject.config.causalTransformer;
    return await rollOutImage(sequence, [subject.tokenizer.specialTokens.imageStart], queries, {});
  } finally {
    sequence.close();
  }
}

/** What the U-Net says of the noise at the first step, before guidance: [rows,4,h,w]. */
async function firstNoise(
  subject: Subject,
  paint: PaintCase,
  condition: Float32Array,
): Promise<Float32Array> {
  const { unet, vae } = decoderConfig(subject);
  const scale = vaeScale(vae);
  const batch = paint.guidanceScale > 1 ? 2 : 1;
  const tokens = subject.config.causalTransformer.queries;
  const shape = { batch, height: paint.height / scale, width: paint.width / scale, tokens };
  const scheduler = createScheduler(subject.schedulerConfig, paint.steps);
  const start = paint.latents.map((value) => value * scheduler.initNoiseSigma);
  const input = scheduler.scaleModelInput(start, 0);
  const sample = new Float32Array(batch * input.length);
  for (let row = 0; row < batch; row++) sample.set(input, row * input.length);
  const timesteps = new Array<number>(batch).fill(scheduler.timesteps[0] ?? 0);
  const timeFeatures = timestepProjection(timesteps, unet.blockChannels[0] ?? 0, unet);
  const program = unetProgram(unet, shape, { precision: { matrices: subject.dtype } });
  return (await subject.run(program, { sample, timeFeatures, condition }))['noise'] as Float32Array;
}

function decoderConfig(subject: Subject): NonNullable<Subject['config']['visualDecoder']> {
  const { visualDecoder } = subject.config;
  if (visualDecoder === undefined) throw new Error('the checkpoint has no visual decoder');
  return visualDecoder;
}

/** Latents to f32[H,W,3] in 0..1: the picture before it is rounded to 8 bits, which the product never keeps. */
async function unroundedPicture(
  subject: Subject,
  size: { readonly height: number; readonly width: number },
  latents: Float32Array,
): Promise<Float32Array> {
  const { vae } = decoderConfig(subject);
  const factor = Math.fround(1 / vae.scalingFactor);
  // The VAE is f32 in every model of ours.
  const program = vaeDecodeProgram(vae, { batch: 1, ...size });
  const { image } = await subject.run(program, { latents: latents.map((value) => value * factor) });
  const planes = image as Float32Array;
  const plane = planes.length / 3;
  return Float32Array.from({ length: planes.length }, (_, at) => {
    const value = planes[(at % 3) * plane + Math.floor(at / 3)] ?? 0;
    return Math.min(Math.max(Math.fround(value / 2) + 0.5, 0), 1);
  });
}
