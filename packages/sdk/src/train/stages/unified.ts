import { z } from 'zod';

import { image } from '../../image/media.js';
import { rgbPixels } from '../../image/pixels.js';
import { dataOptions, recipeSources, type DataOptions, type MixedSource } from '../data/recipe-sources.js';
import { fixedSamples, textOf } from '../data/fixed-samples.js';
import { mixedStream } from '../data/mixed-stream.js';
import { checkFirstSamples, packedMaker } from '../data/packed-maker.js';
import type { TakenSample } from '../data/sample-reader.js';
import type { JsonValue } from '../json-value.js';
import type { ModelSource } from '../model/model-source.js';
import { programParameters } from '../model/program-parameters.js';
import { writeTrainedModel } from '../model/write-trained-model.js';
import { visualReductions } from '../objective/objective-options.js';
import { reconstructionInitial } from '../objective/reconstruction.js';
import { unifiedProgram, type UnifiedShape } from '../objective/unified-program.js';
import { plainSequence } from '../packing/sample-sequence.js';
import type { Recipe } from '../recipe/schema.js';
import { defineStage, type StageContext } from '../stage.js';
import type { SampleContext, TrainingSample, TrainingTask } from '../task.js';
import {
  heldOutSeed,
  modelOptions,
  openModelSource,
  reconstructionWeight,
  recipePrecision,
  type ModelOptions,
} from './stage-options.js';
import { sampledPictures } from './sampled-pictures.js';
import { withTrainedCopy } from './trained-copy.js';

/** Keys of the rows that sequences are packed into; a micro-batch has per_device_train_batch_size rows. */
export const packingOptions = z.strictObject({
  sequence_length: z
    .int()
    .min(8)
    .max(65_536)
    .default(1024)
    .describe('places of a row; sequences are packed into rows'),
  pictures: z.int().min(0).max(4096).default(32).describe('most pictures of a micro-batch'),
  text_targets: z
    .int()
    .min(1)
    .optional()
    .describe('most text tokens that a micro-batch learns; all places by default'),
});

const unifiedOptions = z.strictObject({
  ...modelOptions.shape,
  ...dataOptions.shape,
  ...packingOptions.shape,
  visual_weight: z
    .number()
    .min(0)
    .default(1)
    .describe('factor of the regression of visual embeddings; 0: text only, without that term'),
  visual_reduction: z
    .enum(visualReductions)
    .default('mean')
    .describe('how squared differences become a number; mean: over positions and dimensions'),
  reconstruction_weight: reconstructionWeight,
  dropout: z.number().min(0).lt(1).default(0.1).describe('dropout of the Causal Transformer'),
});
type UnifiedRecipe = Recipe & z.output<typeof unifiedOptions>;

/** Unified pretraining: the next token, or the next visual embedding (arXiv 2307.05222, section 2). */
export const unifiedStage = defineStage({
  name: 'unified',
  summary: 'pretraining on interleaved text and pictures: next token and next visual embedding',
  options: unifiedOptions,
  createTask: createUnifiedTask,
});

/** Sizes of the packed program of a recipe. */
export function packedShape(
  recipe: Pick<Recipe, 'per_device_train_batch_size'> & z.output<typeof packingOptions>,
): UnifiedShape {
  const { per_device_train_batch_size: rows, sequence_length: length, pictures } = recipe;
  return { rows, length, pictures, textTargets: recipe.text_targets ?? rows * length };
}

const programKey = 'unified';
const imaginingKey = 'imagining';

async function createUnifiedTask(recipe: UnifiedRecipe, context: StageContext): Promise<TrainingTask> {
  const source = await openModelSource(recipe, context);
  const sources = recipeSources(recipe);
  const shape = packedShape(recipe);
  const { visual_weight: visualWeight, dropout } = recipe;
  const options = {
    precision: recipePrecision(recipe),
    visualWeight,
    visualReduction: recipe.visual_reduction,
    reconstructionWeight: recipe.reconstruction_weight,
    dropout,
  };
  const hasVisual = visualWeight > 0 && shape.pictures > 0;
  const program = unifiedProgram(source.config, shape, options);
  // A plan must know it too: its memory is the larger one.
  const imagining =
    hasVisual && sources.some(({ imagined }) => imagined)
      ? unifiedProgram(source.config, shape, { ...options, imagined: true })
      : undefined;
  const sequenceOf = ({ sample, ...layout }: TakenSample) =>
    plainSequence(sample, sequenceModel(source, shape), layout);
  const mixOf = (split: TrainingSplit) => ({
    seed: seedOf(recipe, split),
    split,
    workers: recipe.data_workers,
  });
  const batches = (split: TrainingSplit, from: JsonValue | null, limit?: number) => {
    const { seed } = recipe;
    const make = packedMaker(packingModel(source), {
      program: programKey,
      shape,
      ...(imagining && { imagining: imaginingKey }),
      terms: { visual: hasVisual, reconstruction: recipe.reconstruction_weight > 0 },
      hasDropout: dropout > 0,
      seed,
      sequenceOf,
    });
    return mixedStream(sources, mixOf(split), make, from, limit);
  };
  const save: TrainingTask['save'] = (weights, folder) =>
    writeTrainedModel(source, weights, folder, { dtype: recipe.save_dtype });
  return {
    name: 'unified',
    parameters: programParameters([program]),
    batchUnit: 'rows',
    programKeys: imagining === undefined ? [programKey] : [programKey, imaginingKey],
    program: (key) => (key === imaginingKey && imagining !== undefined ? imagining : program),
    checkSamples: () =>
      checkFirstSamples(sources, mixOf('train'), packingModel(source), { shape, sequenceOf }),
    batches: (from) => batches('train', from),
    heldOutBatches: () => batches('evaluation', null, recipe.eval_batches),
    initial: (name) => reconstructionInitial(name, source.config, recipe.seed) ?? source.initial(name),
    samples: (sampling) => captionsAndPictures(recipe, sources, save, sampling),
    save,
  };
}

/** The splits that training reads. */
export type TrainingSplit = 'train' | 'evaluation';

/** Seed of the sources in a split. */
export function seedOf(recipe: Pick<Recipe, 'seed'> & DataOptions, split: TrainingSplit): number {
  const seed = recipe.data_seed ?? recipe.seed;
  return split === 'train' ? seed : heldOutSeed(seed);
}

/** What packing reads of a model. */
export function packingModel(source: ModelSource): Parameters<typeof packedMaker>[0] {
  return { config: source.config, special: source.tokenizer.specialTokens };
}

/** What making sequences reads of a model. */
export function sequenceModel(
  { config, tokenizer }: ModelSource,
  { length }: UnifiedShape,
): Parameters<typeof plainSequence>[1] {
  return {
    tokenizer,
    queries: config.causalTransformer.queries,
    imageSize: config.visual.imageSize,
    longest: Math.min(length, config.llama.contextLength),
  };
}

/** Denoising steps of sampled pictures. */
const sampledSteps = 20;

/** Captions of fixed held-out pictures, and where the model has a visual decoder pictures of their true texts. */
async function captionsAndPictures(
  recipe: Recipe & ModelOptions & DataOptions,
  sources: readonly MixedSource[],
  save: TrainingTask['save'],
  sampling: SampleContext,
): Promise<readonly TrainingSample[]> {
  const samples = await fixedSamples(
    sources,
    seedOf(recipe, 'evaluation'),
    recipe.samples,
    ({ kind }) => kind === 'pair',
  );
  if (samples.length === 0) return [];
  return withTrainedCopy(save, sampling, async (emu) => {
    const made: TrainingSample[] = [];
    for (const [index, sample] of samples.entries()) {
      const picture = sample.elements.find((element) => element.type === 'image');
      if (picture === undefined) continue;
      const { width, height, data } = picture.image;
      const { signal } = sampling;
      const stream = emu.caption(image(rgbPixels(width, height, data)), {
        numBeams: 1,
        maxNewTokens: 48,
        ...(signal && { signal }),
      });
      made.push({
        kind: 'text',
        name: `caption-${index}`,
        prompt: textOf(sample),
        text: await stream.text(),
      });
    }
    if (!emu.model.has('unet') || !emu.model.has('vae')) return made;
    return [...made, ...(await sampledPictures(emu, samples, { steps: sampledSteps }, sampling))];
  });
}
