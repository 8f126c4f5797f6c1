import { EmuError } from '@emu/program';

import { timestepProjection, unetProgram } from '../models/unet-program.js';
import type { LoadedModel } from '../session.js';
import { BatchQueue } from './batch-queue.js';
import { visualDecoderOf } from './visual-decoder.js';

/** One denoising step of one picture: a row, or two under guidance, all at the same time step. */
export interface NoiseRequest {
  /** Latents of each row, f32[4,h,w]. */
  readonly samples: readonly Float32Array[];
  readonly timestep: number;
  /** Visual embeddings of all rows, f32[rows,N,D]. */
  readonly condition: Float32Array;
}

/** Side lengths of latents. */
export interface LatentShape {
  readonly height: number;
  readonly width: number;
}

/** Rows of one run of the U-Net: four guided pictures. More gain nothing on a CPU and make everyone wait longer. */
const mostRows = 8;

type Queue = BatchQueue<NoiseRequest, Float32Array>;
const queues = new WeakMap<LoadedModel, Map<string, Queue>>();

/**
 * Noise of one step, f32[rows,4,h,w], through the U-Net of a model whose part `unet` is loaded. Steps of pictures that
 * are drawn at the same time run together, each at its own time step; a row has the same bits in any batch.
 */
export function predictNoise(
  model: LoadedModel,
  shape: LatentShape,
  request: NoiseRequest,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const ofModel = queues.get(model) ?? new Map<string, Queue>();
  queues.set(model, ofModel);
  const key = `${shape.height}x${shape.width}`;
  const queue =
    ofModel.get(key) ?? new BatchQueue(mostRows, (batch, stop) => runUnet(model, shape, batch, stop));
  ofModel.set(key, queue);
  return queue.submit(request, request.samples.length, signal);
}

async function runUnet(
  model: LoadedModel,
  shape: LatentShape,
  requests: readonly NoiseRequest[],
  signal: AbortSignal,
): Promise<readonly Float32Array[]> {
  const { unet } = visualDecoderOf(model);
  const samples = requests.flatMap((request) => request.samples);
  const batch = samples.length;
  const tokens = model.config.causalTransformer.queries;
  const executable = model.compiled(`unet/${batch}x${shape.height}x${shape.width}`, () =>
    unetProgram(unet, { batch, ...shape, tokens }, { precision: model.precision }),
  );
  const timesteps = requests.flatMap(({ timestep, samples: rows }) => rows.map(() => timestep));
  const inputs = {
    sample: joined(samples),
    timeFeatures: timestepProjection(timesteps, unet.blockChannels[0] ?? 0, unet),
    condition: joined(requests.map(({ condition }) => condition)),
  };
  const { noise } = await executable.run(inputs, { signal });
  if (!(noise instanceof Float32Array))
    throw new EmuError('INTERNAL', '[picture] the U-Net returned no noise');
  const rowLength = noise.length / batch;
  let row = 0;
  return requests.map(({ samples: rows }) =>
    noise.subarray(row * rowLength, (row += rows.length) * rowLength),
  );
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const [first] = parts;
  if (parts.length === 1 && first !== undefined) return first;
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
