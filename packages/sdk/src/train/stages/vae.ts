import { permute, slice, trace, type Program } from '@emu/program';
import { z } from 'zod';

import { unitNormal } from '../../diffusion/noise.js';
import { encodePng } from '../../image/node.js';
import { rgbPixels, type Pixels } from '../../image/pixels.js';
import type { VaeConfig } from '../../models/config.js';
import { gaussianOf, vaeEncodeProgram, vaePrefix, vaeScale } from '../../models/vae-program.js';
import { decodeLatents, encodeToMoments, vaeDecoder, vaeEncoder } from '../../models/vae.js';
import { Parameters, singlePrecision } from '../../nn/parameters.js';
import { fixedSamples, textOf } from '../data/fixed-samples.js';
import { batchLabel, batchSeed, mixedStream } from '../data/mixed-stream.js';
import { latentPixels, nextPictures } from '../data/picture-batch.js';
import { dataOptions, recipeSources, type MixedSource } from '../data/recipe-sources.js';
import { SourceMix } from '../data/sample-reader.js';
import type { JsonValue } from '../json-value.js';
import { FrozenProgram, type WeightLookup } from '../model/frozen-program.js';
import { programParameters } from '../model/program-parameters.js';
import { writeTrainedModel } from '../model/write-trained-model.js';
import { autoencoderProgram } from '../objective/autoencoder-program.js';
import type { Recipe } from '../recipe/schema.js';
import { defineStage, type StageContext } from '../stage.js';
import type { BatchStream, SampleContext, TrainedWeights, TrainingSample, TrainingTask } from '../task.js';
import { modelOptions, openModelSource, recipePrecision, requireDecoder } from './stage-options.js';
import { seedOf } from './unified.js';

const weight = z.number().min(0);

const vaeOptions = z.strictObject({
  ...modelOptions.shape,
  ...dataOptions.shape,
  l1_weight: weight.default(1).describe('factor of the mean absolute difference of pixels in -1..1'),
  l2_weight: weight.default(1).describe('factor of the mean squared difference'),
  kl_weight: weight
    .default(1e-4)
    .describe('factor of the divergence of latents from a unit normal, per element'),
  scale_batches: z
    .int()
    .min(1)
    .default(16)
    .describe('held-out batches that the scaling factor of the latents is measured on'),
});
type VaeRecipe = Recipe & z.output<typeof vaeOptions>;

/** The autoencoder of the visual decoder; a batch is per_device_train_batch_size pictures. */
export const vaeStage = defineStage({
  name: 'vae',
  summary: 'the autoencoder of the visual decoder: pictures to latents and back',
  options: vaeOptions,
  createTask: createVaeTask,
});

const programKey = 'autoencoder';
const noisePurpose = 2;

async function createVaeTask(recipe: VaeRecipe, context: StageContext): Promise<TrainingTask> {
  const source = await openModelSource(recipe, context);
  const { vae } = requireDecoder(source, 'vae');
  const sources = recipeSources(recipe);
  const batch = recipe.per_device_train_batch_size;
  const program = autoencoderProgram(vae, squares(vae, batch), {
    precision: recipePrecision(recipe),
    l1Weight: recipe.l1_weight,
    l2Weight: recipe.l2_weight,
    klWeight: recipe.kl_weight,
  });
  const open = (split: 'train' | 'evaluation', from: JsonValue | null, limit?: number): BatchStream => {
    const mix = { seed: seedOf(recipe, split), split, workers: recipe.data_workers };
    return mixedStream(
      sources,
      mix,
      async (reader, index) => {
        const { image, names } = await nextPictures(reader, batch, vae.sampleSize);
        return {
          program: programKey,
          inputs: { image, noise: latentNoise(vae, batch, batchSeed(recipe.seed, index, noisePurpose)) },
          counts: { samples: batch, tokens: batch * latentPlaces(vae), images: batch },
          label: batchLabel(reader, names),
        };
      },
      from,
      limit,
    );
  };
  return {
    name: 'vae',
    parameters: programParameters([program]),
    programKeys: [programKey],
    program: () => program,
    batches: (from) => open('train', from),
    heldOutBatches: () => open('evaluation', null, recipe.eval_batches),
    initial: (name) => source.initial(name),
    samples: (sampling) => reconstructions(recipe, vae, sources, sampling),
    async save(weights, folder) {
      const scalingFactor = await measuredScale(recipe, vae, sources, weights);
      const { config } = source;
      const visualDecoder = { ...requireDecoder(source, 'vae'), vae: { ...vae, scalingFactor } };
      await writeTrainedModel(source, weights, folder, {
        dtype: recipe.save_dtype,
        config: { ...config, visualDecoder },
      });
    },
  };
}

function squares({ sampleSize }: VaeConfig, batch: number): { batch: number; height: number; width: number } {
  return { batch, height: sampleSize, width: sampleSize };
}

function latentPlaces(vae: VaeConfig): number {
  return (vae.sampleSize / vaeScale(vae)) ** 2;
}

/** Unit normals in the shape of a batch's latents, [B,C,h,w]. */
function latentNoise(vae: VaeConfig, batch: number, seed: bigint): Float32Array {
  return unitNormal([batch, vae.latentChannels, latentPlaces(vae)], seed).data;
}

/**
 * 1 / standard deviation of latents drawn from held-out pictures, so that the diffusion process works on unit variance
 * (Rombach et al. 2022, section 4.3.2): the variance of the means plus the mean of the variances.
 */
async function measuredScale(
  recipe: VaeRecipe,
  vae: VaeConfig,
  sources: readonly MixedSource[],
  weights: TrainedWeights,
): Promise<number> {
  const batch = recipe.per_device_train_batch_size;
  const mix = new SourceMix(
    sources,
    { seed: seedOf(recipe, 'evaluation'), split: 'evaluation', workers: 0 },
    undefined,
  );
  const encoder = await FrozenProgram.open(vaeEncodeProgram(vae, squares(vae, batch)), valuesOf(weights));
  try {
    let [count, sum, squaresSum] = [0, 0, 0];
    for (let index = 0; index < recipe.scale_batches; index++) {
      const { image } = await nextPictures(mix.readerOf(index), batch, vae.sampleSize);
      const { mean, deviation } = gaussianOf(await encoder.run({ image }, 'moments'), batch);
      for (const [i, value] of mean.entries()) {
        count += 1;
        sum += value;
        squaresSum += value * value + (deviation[i] ?? 0) ** 2;
      }
    }
    const average = sum / count;
    return 1 / Math.sqrt(squaresSum / count - average * average);
  } finally {
    await encoder.dispose();
    await mix.close();
  }
}

function valuesOf(weights: TrainedWeights): WeightLookup {
  return async (name) => ({ kind: 'data', dtype: 'f32', data: await weights.read(name) });
}

/** Held-out pictures beside what the autoencoder makes of them. */
async function reconstructions(
  recipe: VaeRecipe,
  vae: VaeConfig,
  sources: readonly MixedSource[],
  { weights }: SampleContext,
): Promise<readonly TrainingSample[]> {
  const samples = await fixedSamples(sources, seedOf(recipe, 'evaluation'), recipe.samples, ({ elements }) =>
    elements.some((element) => element.type === 'image'),
  );
  const program = await FrozenProgram.open(restoringProgram(vae), valuesOf(weights));
  try {
    const made: TrainingSample[] = [];
    for (const [index, sample] of samples.entries()) {
      const picture = sample.elements.find((element) => element.type === 'image');
      if (picture === undefined) continue;
      const image = latentPixels(picture.image, vae.sampleSize);
      const restored = await program.run({ image }, 'restored');
      const png = await encodePng(sideBySide(image, restored, vae.sampleSize));
      made.push({ kind: 'image', name: `restored-${index}`, prompt: textOf(sample), png });
    }
    return made;
  } finally {
    await program.dispose();
  }
}

/** A picture through its mean latents and back: `image` f32[1,3,S,S] -> `restored`, the same. */
function restoringProgram(vae: VaeConfig): Program {
  return trace('restore', (t) => {
    const p = Parameters.of(t, singlePrecision, vaePrefix);
    const image = t.input('image', [1, vae.inChannels, vae.sampleSize, vae.sampleSize]);
    const moments = encodeToMoments(vaeEncoder(p, vae), permute(image, [0, 2, 3, 1]), vae);
    const mean = slice(moments, { axis: 3, start: 0, length: vae.latentChannels });
    t.output('restored', permute(decodeLatents(vaeDecoder(p, vae), mean, vae), [0, 3, 1, 2]));
  });
}

/** Two pictures [3,S,S] in -1..1 as one of twice the width. */
function sideBySide(left: Float32Array, right: Float32Array, side: number): Pixels {
  const data = new Uint8Array(2 * side * side * 3);
  for (const [column, picture] of [left, right].entries()) {
    for (const [i, value] of picture.entries()) {
      const [channel, y, x] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
      const level = Math.round(Math.min(Math.max((value + 1) / 2, 0), 1) * 255);
      data[3 * (y * 2 * side + column * side + x) + channel] = level;
    }
  }
  return rgbPixels(2 * side, side, data);
}
