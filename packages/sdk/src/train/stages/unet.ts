import { EmuError, Philox } from '@emu/program';
import { resolve } from 'node:path';
import { z } from 'zod';

import { addNoise, alphasCumprod, velocity } from '../../diffusion/noise-schedule.js';
import { unitNormal } from '../../diffusion/noise.js';
import { parseSchedulerConfig } from '../../diffusion/scheduler-config.js';
import { atLevel, type VisualDecoderConfig } from '../../models/config.js';
import { timestepProjection } from '../../models/unet-program.js';
import { gaussianOf, vaeEncodeProgram, vaeScale } from '../../models/vae-program.js';
import { fixedSamples } from '../data/fixed-samples.js';
import { batchLabel, batchSeed, mixedStream, type BatchMaker } from '../data/mixed-stream.js';
import { latentPixels } from '../data/picture-batch.js';
import { dataOptions, recipeSources, type MixedSource } from '../data/recipe-sources.js';
import { repeatedSource } from '../data/repeated-source.js';
import { chanceOf, type SampleReader } from '../data/sample-reader.js';
import type { JsonValue } from '../json-value.js';
import { ConditionSource, pictureTarget, type PictureTarget } from '../model/condition-source.js';
import { frozenCost } from '../model/frozen-cost.js';
import { FrozenProgram } from '../model/frozen-program.js';
import type { ModelSource } from '../model/model-source.js';
import { programParameters } from '../model/program-parameters.js';
import { schedulerOf, writeTrainedModel } from '../model/write-trained-model.js';
import { noiseProgram } from '../objective/noise-program.js';
import type { Recipe } from '../recipe/schema.js';
import { defineStage, type StageContext } from '../stage.js';
import type { BatchStream, SampleContext, TrainingSample, TrainingTask } from '../task.js';
import { modelOptions, openModelSource, recipePrecision, requireDecoder } from './stage-options.js';
import { sampledPictures } from './sampled-pictures.js';
import { withTrainedCopy } from './trained-copy.js';
import { seedOf } from './unified.js';

const unetOptions = z.strictObject({
  ...modelOptions.shape,
  ...dataOptions.shape,
  condition_dropout: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe('chance that the condition is what the model makes of no prompt, for guidance'),
  encoded_conditions: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('share of the samples whose condition is what the encoder makes of the picture itself'),
  beta_end: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe(
      'noise added at the last timestep; 0.012 in Stable Diffusion, where latents of few pixels keep their mean to the end',
    ),
  prediction_type: z
    .enum(['epsilon', 'v_prediction'])
    .optional()
    .describe(
      'what the U-Net predicts: the noise, as in Stable Diffusion, or the velocity, which weighs much noise more; as the model it starts from',
    ),
  repeat_samples: z
    .int()
    .min(0)
    .default(0)
    .describe('samples of each source that are used over and over, their embeddings kept; 0: ever new ones'),
  condition_cache_mb: z
    .number()
    .min(0)
    .max(1e6)
    .default(512)
    .describe('memory for embeddings and latents of what comes again'),
  sample_steps_count: z.int().min(1).max(1000).default(20).describe('denoising steps of the samples'),
  sample_guidance: z.number().min(0).max(50).default(4).describe('guidance of the samples'),
});
type UNetRecipe = Recipe & z.output<typeof unetOptions>;

/** The visual decoder on regressed embeddings; a batch is per_device_train_batch_size pictures. */
export const unetStage = defineStage({
  name: 'unet',
  summary:
    'the U-Net of the visual decoder, on embeddings that the frozen language model regresses from prompts',
  options: unetOptions,
  createTask: createUNetTask,
});

const programKey = 'noise';
const drawPurpose = 3;
const noisePurpose = 4;
const latentPurpose = 5;
/** Stream of the draw that picks samples with encoded conditions. */
const encodedStream = 0x656e_6300;

async function createUNetTask(recipe: UNetRecipe, context: StageContext): Promise<TrainingTask> {
  const source = await openModelSource(recipe, context);
  const { from } = recipe;
  // A plan needs sizes alone.
  if (from === undefined && !context.planOnly) {
    throw new EmuError(
      'INVALID_CONFIG',
      '[unet] the stage needs `from`, a model whose language model is trained',
      {
        hint: 'Name the model folder of the unified stage.',
      },
    );
  }
  const decoder = requireDecoder(source, 'unet');
  const sources = repeated(recipe, recipeSources(recipe));
  const batch = recipe.per_device_train_batch_size;
  const side = decoder.vae.sampleSize / vaeScale(decoder.vae);
  const shape = { batch, height: side, width: side, tokens: source.config.causalTransformer.queries };
  const program = noiseProgram(decoder.unet, shape, { precision: recipePrecision(recipe) });
  // Opened when the first batch is made: a plan needs none of it.
  let opened: Promise<Frozen> | undefined;
  const frozen = (): Promise<Frozen> => (opened ??= openFrozen(source, decoder, resolve(from ?? ''), recipe));
  const open = (split: 'train' | 'evaluation', position: JsonValue | null, limit?: number): BatchStream => {
    const mix = { seed: seedOf(recipe, split), split, workers: recipe.data_workers };
    return mixedStream(sources, mix, noiseMaker(recipe, decoder, frozen), position, limit);
  };
  const save: TrainingTask['save'] = (weights, folder) =>
    writeTrainedModel(source, weights, folder, {
      dtype: recipe.save_dtype,
      scheduler: trainedScheduler(source, recipe),
    });
  return {
    name: 'unet',
    parameters: programParameters([program]),
    programKeys: [programKey],
    program: () => program,
    companion: frozenCost(source.config, decoder, {
      batch,
      precision: recipePrecision(recipe),
      encodedShare: recipe.encoded_conditions,
      madeShare: madeShare(recipe),
    }),
    batches: (position) => open('train', position),
    heldOutBatches: () => open('evaluation', null, recipe.eval_batches),
    initial: (name) => source.initial(name),
    samples: (sampling) => pictures(recipe, sources, save, sampling),
    save,
    async close() {
      const parts = await opened;
      await parts?.encoder.dispose();
      await parts?.conditions.dispose();
    },
  };
}

/** What stays as it is: the encoder of pictures, the language model, the noise schedule. */
interface Frozen {
  readonly encoder: FrozenProgram;
  readonly conditions: ConditionSource;
  readonly alphas: Float32Array;
  /** Whether the velocity is to be predicted, and not the noise. */
  readonly isVelocity: boolean;
}

async function openFrozen(
  source: ModelSource,
  { vae }: VisualDecoderConfig,
  folder: string,
  recipe: UNetRecipe,
): Promise<Frozen> {
  const shape = {
    batch: recipe.per_device_train_batch_size,
    height: vae.sampleSize,
    width: vae.sampleSize,
  };
  const encoder = await FrozenProgram.open(vaeEncodeProgram(vae, shape), (name) => source.initial(name));
  const conditions = await ConditionSource.open(
    folder,
    recipePrecision(recipe).matrices,
    recipe.condition_cache_mb * 2 ** 20,
  );
  const scheduler = parseSchedulerConfig(trainedScheduler(source, recipe));
  const isVelocity = scheduler.prediction_type === 'v_prediction';
  return { encoder, conditions, alphas: alphasCumprod(scheduler), isVelocity };
}

/** The scheduler_config.json with the noise and the prediction that the recipe asks for. */
function trainedScheduler(source: ModelSource, { beta_end, prediction_type }: UNetRecipe): object {
  return {
    ...schedulerOf(source),
    ...(beta_end !== undefined && { beta_end }),
    ...(prediction_type !== undefined && { prediction_type }),
  };
}

/** The sources as the recipe wants them: ever new samples, or whole batches of them over and over. */
function repeated(recipe: UNetRecipe, sources: readonly MixedSource[]): readonly MixedSource[] {
  const { repeat_samples: count, per_device_train_batch_size: batch } = recipe;
  if (count === 0) return sources;
  const whole = Math.ceil(count / batch) * batch;
  return sources.map((mixed) => ({ ...mixed, source: repeatedSource(mixed.source, whole) }));
}

/** Share of a run's batches that the frozen models make, when every batch that comes again was kept. */
function madeShare(recipe: UNetRecipe): number {
  const { repeat_samples: count, per_device_train_batch_size: batch } = recipe;
  if (count === 0) return 1;
  const different = recipe.sources.length * Math.ceil(count / batch);
  return Math.min(1, different / (recipe.max_steps * recipe.gradient_accumulation_steps));
}

/** What the frozen models make of a batch. */
interface Prepared {
  /** Mean and deviation of the latents, [B,C,h,w]. */
  readonly mean: Float32Array;
  readonly deviation: Float32Array;
  /** One condition per picture, f32[N,D]. */
  readonly conditions: readonly Float32Array[];
}

/** Latents with noise of a random timestep, their conditions, and what is to be predicted. */
function noiseMaker(
  recipe: UNetRecipe,
  { unet, vae }: VisualDecoderConfig,
  frozen: () => Promise<Frozen>,
): BatchMaker {
  const batch = recipe.per_device_train_batch_size;
  const side = vae.sampleSize / vaeScale(vae);
  const latentShape = [batch, vae.latentChannels, side, side];
  const kept = new PreparedBatches(recipe.repeat_samples === 0 ? 0 : recipe.condition_cache_mb * 2 ** 20);
  return async (reader, index) => {
    const { alphas, conditions, isVelocity } = await frozen();
    const targets = await nextTargets(reader, batch);
    const names = targets.map(({ name }) => name);
    const {
      mean,
      deviation,
      conditions: rolled,
    } = await kept.of(names, async () => prepare(await frozen(), targets, recipe, vae));
    const random = new Philox(batchSeed(recipe.seed, index, drawPurpose));
    const timesteps = targets.map(() => Math.floor(random.nextFloat() * alphas.length));
    const isDropped = targets.map(() => random.nextFloat() < recipe.condition_dropout);
    const noise = unitNormal(latentShape, batchSeed(recipe.seed, index, noisePurpose)).data;
    const draw = unitNormal(latentShape, batchSeed(recipe.seed, index, latentPurpose)).data;
    const latents = mean.map(
      (value, i) => (value + (deviation[i] ?? 0) * (draw[i] ?? 0)) * vae.scalingFactor,
    );
    const nothing = await conditions.unconditional();
    return {
      program: programKey,
      inputs: {
        sample: addNoise(alphas, latents, noise, timesteps),
        timeFeatures: timestepProjection(timesteps, atLevel(unet.blockChannels, 0, 'blockChannels'), unet),
        condition: joined(rolled.map((condition, row) => (isDropped[row] === true ? nothing : condition))),
        target: isVelocity ? velocity(alphas, latents, noise, timesteps) : noise,
      },
      counts: { samples: batch, tokens: batch * side * side, images: batch },
      label: batchLabel(reader, names),
    };
  };
}

async function prepare(
  { encoder, conditions }: Frozen,
  targets: readonly NamedTarget[],
  recipe: UNetRecipe,
  vae: VisualDecoderConfig['vae'],
): Promise<Prepared> {
  const image = joined(targets.map(({ target }) => latentPixels(target.picture.image, vae.sampleSize)));
  const gaussian = gaussianOf(await encoder.run({ image }, 'moments'), targets.length);
  return { ...gaussian, conditions: await conditionsOf(conditions, targets, recipe) };
}

/** What the language model regresses from most prompts; some pictures' own embeddings. */
async function conditionsOf(
  source: ConditionSource,
  targets: readonly NamedTarget[],
  { seed, encoded_conditions: share }: UNetRecipe,
): Promise<readonly Float32Array[]> {
  const isEncoded = targets.map(({ name }) => chanceOf(name, seed, encodedStream) < share);
  const where = (encoded: boolean): readonly PictureTarget[] =>
    targets.flatMap(({ target }, index) => (isEncoded[index] === encoded ? [target] : []));
  const regressed = [...(await source.of(where(false).map(({ prompt }) => prompt)))];
  const encoded = [...(await source.encode(where(true).map(({ picture }) => picture.image)))];
  return isEncoded.flatMap((wanted) => (wanted ? encoded : regressed).splice(0, 1));
}

/** Batches that were prepared once, by the names of their samples, as long as there is room. */
class PreparedBatches {
  readonly #kept = new Map<string, Prepared>();
  #room: number;

  constructor(bytes: number) {
    this.#room = bytes;
  }

  async of(names: readonly string[], make: () => Promise<Prepared>): Promise<Prepared> {
    const key = names.join('\n');
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const made = await make();
    const bytes = [made.mean, made.deviation, ...made.conditions].reduce(
      (sum, part) => sum + part.byteLength,
      0,
    );
    if (bytes <= this.#room) {
      this.#room -= bytes;
      this.#kept.set(key, made);
    }
    return made;
  }
}

interface NamedTarget {
  readonly name: string;
  readonly target: PictureTarget;
}

/** @throws EmuError INVALID_CONFIG for a source in which hardly anything leads to a picture. */
async function nextTargets(reader: SampleReader, batch: number): Promise<readonly NamedTarget[]> {
  const targets: NamedTarget[] = [];
  for (let refused = 0; targets.length < batch;) {
    const { sample } = await reader.next();
    const target = pictureTarget(sample);
    if (target !== undefined) targets.push({ name: sample.id, target });
    else if (++refused > 100 * batch) {
      throw new EmuError(
        'INVALID_CONFIG',
        `[unet] the source ${reader.name} has no pictures that a prompt leads to`,
        {
          details: { source: reader.name },
        },
      );
    }
  }
  return targets;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Held-out prompts, painted. */
async function pictures(
  recipe: UNetRecipe,
  sources: readonly MixedSource[],
  save: TrainingTask['save'],
  sampling: SampleContext,
): Promise<readonly TrainingSample[]> {
  const seed = seedOf(recipe, 'evaluation');
  const samples = await fixedSamples(sources, seed, recipe.samples, ({ kind }) => kind === 'pair');
  if (samples.length === 0) return [];
  const options = { steps: recipe.sample_steps_count, guidanceScale: recipe.sample_guidance };
  return withTrainedCopy(save, sampling, (emu) => sampledPictures(emu, samples, options, sampling));
}
