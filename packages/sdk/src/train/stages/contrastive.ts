import { EmuError, type WeightSource } from '@emu/program';
import { z } from 'zod';

import { relativeBuckets } from '../../models/causal-transformer.js';
import { textTower, type TextTowerConfig } from '../../models/text-tower.js';
import { Parameters } from '../../nn/parameters.js';
import { textOf } from '../data/fixed-samples.js';
import { batchLabel, mixedStream, type BatchMaker } from '../data/mixed-stream.js';
import { dataOptions, recipeSources } from '../data/recipe-sources.js';
import { extraMatrix } from '../model/extra-weights.js';
import type { ModelSource } from '../model/model-source.js';
import { programParameters } from '../model/program-parameters.js';
import { writeTrainedModel } from '../model/write-trained-model.js';
import { contrastiveProgram, firstLogitScale, logitScaleName } from '../objective/contrastive-program.js';
import { reconstructionInitial } from '../objective/reconstruction.js';
import { encoderPixels } from '../packing/sample-sequence.js';
import type { JsonValue } from '../json-value.js';
import type { Recipe } from '../recipe/schema.js';
import { defineStage, type StageContext } from '../stage.js';
import type { BatchStream, TrainingTask } from '../task.js';
import { modelOptions, openModelSource, reconstructionWeight, recipePrecision } from './stage-options.js';
import { seedOf } from './unified.js';

const contrastiveOptions = z.strictObject({
  ...modelOptions.shape,
  ...dataOptions.shape,
  text_tower: z
    .strictObject({
      width: z.int().min(8).max(8192).default(128),
      layers: z.int().min(1).max(64).default(3),
      heads: z.int().min(1).max(128).default(4).describe('divides width'),
      context_length: z.int().min(4).max(4096).default(48).describe('tokens of a text; longer ones are cut'),
    })
    .prefault({})
    .describe('the text half, which is left behind'),
  causal_transformer: z
    .boolean()
    .default(false)
    .describe('whether the Causal Transformer learns along, so that a small model sees from its first steps'),
  reconstruction_weight: reconstructionWeight,
});
type ContrastiveRecipe = Recipe & z.output<typeof contrastiveOptions>;

/** Contrastive pretraining of the vision encoder; a batch is per_device_train_batch_size pairs. */
export const contrastiveStage = defineStage({
  name: 'contrastive',
  summary: 'pretraining of the vision encoder on pictures and their texts, in the place of EVA-CLIP',
  options: contrastiveOptions,
  createTask: createContrastiveTask,
});

const programKey = 'contrastive';
/** Streams of random numbers from here on are the tower's; the model's tensors count from 0. */
const towerStream = 1 << 24;

async function createContrastiveTask(
  recipe: ContrastiveRecipe,
  context: StageContext,
): Promise<TrainingTask> {
  const source = await openModelSource(recipe, context);
  const sources = recipeSources(recipe);
  const text = towerConfig(recipe, source);
  if (recipe.reconstruction_weight > 0 && !recipe.causal_transformer) {
    throw new EmuError(
      'INVALID_CONFIG',
      '[contrastive] reconstruction_weight reads embeddings of the Causal Transformer, which does not learn along',
      { hint: 'Set causal_transformer to true.' },
    );
  }
  const batch = recipe.per_device_train_batch_size;
  const program = contrastiveProgram(source.config, text, batch, {
    precision: recipePrecision(recipe),
    causalTransformer: recipe.causal_transformer,
    reconstructionWeight: recipe.reconstruction_weight,
  });
  const open = (split: 'train' | 'evaluation', from: JsonValue | null, limit?: number): BatchStream => {
    const mix = { seed: seedOf(recipe, split), split, workers: recipe.data_workers };
    return mixedStream(sources, mix, pairMaker(source, text, recipe), from, limit);
  };
  return {
    name: 'contrastive',
    parameters: programParameters([program]),
    programKeys: [programKey],
    program: () => program,
    batches: (from) => open('train', from),
    heldOutBatches: () => open('evaluation', null, recipe.eval_batches),
    initial: (name) =>
      towerInitial(name, text, source.config.causalTransformer.outputWidth, recipe.seed) ??
      reconstructionInitial(name, source.config, recipe.seed) ??
      source.initial(name),
    save: (weights, folder) => writeTrainedModel(source, weights, folder, { dtype: recipe.save_dtype }),
  };
}

function towerConfig({ text_tower: tower }: ContrastiveRecipe, { config }: ModelSource): TextTowerConfig {
  if (tower.width % tower.heads !== 0) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[contrastive] text_tower.heads ${tower.heads} does not divide width ${tower.width}`,
      {
        details: { heads: tower.heads, width: tower.width },
      },
    );
  }
  return {
    vocabulary: config.llama.vocabulary,
    width: tower.width,
    layers: tower.layers,
    heads: tower.heads,
    contextLength: tower.context_length,
    outputWidth: config.visual.headOutputWidth,
  };
}

/** Takes samples that have both a picture and a text: their first picture and all their words. */
function pairMaker(source: ModelSource, text: TextTowerConfig, recipe: ContrastiveRecipe): BatchMaker {
  const batch = recipe.per_device_train_batch_size;
  const fixed = {
    pairIndex: Int32Array.from({ length: batch }, (_, row) => row),
    ...(recipe.causal_transformer && { relativeBuckets: relativeBuckets(source.config.causalTransformer) }),
  };
  const { imageSize } = source.config.visual;
  const pictureLength = 3 * imageSize * imageSize;
  return async (reader) => {
    const pixels = new Float32Array(batch * pictureLength);
    const textIds = new Int32Array(batch * text.contextLength).fill(source.tokenizer.specialTokens.pad);
    const textLast = new Int32Array(batch);
    const names: string[] = [];
    let tokens = 0;
    for (let refused = 0; names.length < batch;) {
      const { sample } = await reader.next();
      const picture = sample.elements.find((element) => element.type === 'image');
      const words = textOf(sample);
      if (picture === undefined || words === '') {
        if (++refused > 100 * batch) {
          throw new EmuError(
            'INVALID_CONFIG',
            `[contrastive] the source ${reader.name} has no pictures with texts`,
            {
              details: { source: reader.name },
            },
          );
        }
        continue;
      }
      const row = names.push(sample.id) - 1;
      const ids = clipped(
        source.tokenizer.encode(words),
        text.contextLength,
        source.tokenizer.specialTokens.eos,
      );
      textIds.set(ids, row * text.contextLength);
      textLast[row] = row * text.contextLength + ids.length - 1;
      pixels.set(encoderPixels(picture.image, imageSize), row * pictureLength);
      tokens += ids.length;
    }
    return {
      program: programKey,
      inputs: { pixels, textIds, textLast, ...fixed },
      counts: { samples: batch, tokens, images: batch },
      label: batchLabel(reader, names),
    };
  };
}

/** At most `length` ids, the last of them `</s>`. */
function clipped(ids: readonly number[], length: number, eos: number): readonly number[] {
  return [...ids.slice(0, length - 1), eos];
}

/** First values of the tower: normal at equal gain, norms 1, biases 0; undefined for a tensor of the model. */
function towerInitial(
  name: string,
  config: TextTowerConfig,
  embeddingWidth: number,
  seed: number,
): WeightSource | undefined {
  if (name === logitScaleName) {
    return { kind: 'data', dtype: 'f32', data: Float32Array.of(firstLogitScale) };
  }
  const tensors = Parameters.askedBy((p) => [
    textTower(p.in('text'), config),
    p.in('text').linearWithoutBias('embedding_head', embeddingWidth, config.outputWidth),
  ]);
  const index = tensors.findIndex((tensor) => tensor.name === name);
  const shape = tensors[index]?.shape;
  if (shape === undefined) return undefined;
  if (shape.length > 1) return extraMatrix(shape, config.width, seed, towerStream + index);
  const value = name.endsWith('.bias') ? 0 : 1;
  return { kind: 'data', dtype: 'f32', data: new Float32Array(shape[0] ?? 0).fill(value) };
}
