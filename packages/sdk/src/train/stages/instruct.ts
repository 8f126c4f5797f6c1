import { elementCount, EmuError, toFloat32, type TensorData, type WeightSource } from '@emu/program';
import { z } from 'zod';

import { image } from '../../image/media.js';
import { rgbPixels } from '../../image/pixels.js';
import { initialisationOf } from '../../initialize/initialisation.js';
import { randomPieces } from '../../initialize/random-tensor.js';
import type { LoraConfig, LoraTarget } from '../../models/config.js';
import { Emu } from '../../node.js';
import { loraTargets } from '../../weights/adapter.js';
import { readTensor } from '../../weights/read-tensor.js';
import { dataOptions, recipeSources, type MixedSource } from '../data/recipe-sources.js';
import { fixedSamples } from '../data/fixed-samples.js';
import { mixedStream } from '../data/mixed-stream.js';
import { checkFirstSamples, packedMaker } from '../data/packed-maker.js';
import type { TakenSample } from '../data/sample-reader.js';
import type { JsonValue } from '../json-value.js';
import { writeAdapter, type AdapterTensor } from '../lora/write-adapter.js';
import type { ModelSource } from '../model/model-source.js';
import { programParameters } from '../model/program-parameters.js';
import { tokenRowsName, unifiedProgram } from '../objective/unified-program.js';
import { instructSequence } from '../packing/sample-sequence.js';
import { adapterOptions, type Recipe } from '../recipe/schema.js';
import { defineStage, type StageContext } from '../stage.js';
import type { BatchStream, SampleContext, TrainedWeights, TrainingSample, TrainingTask } from '../task.js';
import { modelOptions, openModelSource, recipePrecision } from './stage-options.js';
import { inTemporaryFolder } from './trained-copy.js';
import { packedShape, packingOptions, seedOf, sequenceModel, type TrainingSplit } from './unified.js';

const instructOptions = z.strictObject({
  ...modelOptions.shape,
  ...dataOptions.shape,
  ...packingOptions.shape,
  adapter: adapterOptions.prefault({}).describe("low-rank adapters, in peft's words"),
  train_role_tokens: z
    .boolean()
    .default(true)
    .describe('whether the rows of [USER] and [ASSISTANT] in the token table are trained'),
});
type InstructRecipe = Recipe & z.output<typeof instructOptions>;

/** Instruction tuning with low-rank adapters (arXiv 2307.05222, section 3.3); what it saves is the adapter. */
export const instructStage = defineStage({
  name: 'instruct',
  summary: 'instruction tuning of the language model with LoRA: answers to questions and conversations',
  options: instructOptions,
  createTask: createInstructTask,
});

const programKey = 'instruct';
const adapterStream = 2 << 24;
const plainPrefix = 'decoder.lm.';
const wrappedPrefix = 'decoder.lm.base_model.model.';

async function createInstructTask(recipe: InstructRecipe, context: StageContext): Promise<TrainingTask> {
  const source = await openModelSource(recipe, context);
  const lora = loraOf(recipe, source);
  const sources = recipeSources(recipe);
  const shape = packedShape(recipe);
  const { lora_dropout: adapterDropout } = recipe.adapter;
  const config = { ...source.config, llama: { ...source.config.llama, lora } };
  const program = unifiedProgram(config, shape, {
    precision: recipePrecision(recipe),
    visualWeight: 0,
    adapterDropout,
    tokenRows: recipe.train_role_tokens ? 2 : 0,
  });
  const isTrained = (name: string): boolean => name.includes('.lora_') || name === tokenRowsName;
  const parameters = programParameters([program], isTrained);
  const sequenceOf = ({ sample }: TakenSample) =>
    instructSequence(sample, { ...sequenceModel(source, shape), tokenizer: source.conversationTokenizer });
  const packing = () => ({ config: source.config, special: source.conversationTokenizer.specialTokens });
  const mixOf = (split: TrainingSplit) => ({
    seed: seedOf(recipe, split),
    split,
    workers: recipe.data_workers,
  });
  const open = (split: TrainingSplit, from: JsonValue | null, limit?: number): BatchStream => {
    const make = packedMaker(packing(), {
      program: programKey,
      shape,
      terms: {},
      hasDropout: adapterDropout > 0,
      seed: recipe.seed,
      sequenceOf,
      ...(recipe.train_role_tokens && { extend: (inputs) => ({ ...inputs, ...roleRows(inputs, source) }) }),
    });
    return mixedStream(sources, mixOf(split), make, from, limit);
  };
  const save: TrainingTask['save'] = async (weights, folder) => {
    await writeAdapter(folder, await adapterTensors(source, weights), {
      lora,
      dropout: adapterDropout,
      baseModel: recipe.from ?? '',
      dtype: recipe.save_dtype,
    });
  };
  return {
    name: 'instruct',
    parameters,
    batchUnit: 'rows',
    programKeys: [programKey],
    program: () => program,
    checkSamples: () => checkFirstSamples(sources, mixOf('train'), packing(), { shape, sequenceOf }),
    batches: (from) => open('train', from),
    heldOutBatches: () => open('evaluation', null, recipe.eval_batches),
    initial: (name) => initialValues(source, name, parameters),
    samples: (sampling) => answers(recipe, source, sources, save, sampling),
    save,
  };
}

/** @throws EmuError INVALID_CONFIG for projections that take no adapter, and models that cannot be tuned. */
function loraOf({ adapter, from }: InstructRecipe, source: ModelSource): LoraConfig {
  const unknown = adapter.target_modules.find((name) => !loraTargets.includes(name as LoraTarget));
  if (unknown !== undefined) {
    throw new EmuError('INVALID_CONFIG', `[instruct] adapter.target_modules has ${JSON.stringify(unknown)}`, {
      hint: `Choose among ${loraTargets.join(', ')}.`,
      details: { target: unknown },
    });
  }
  if (source.config.llama.lora !== undefined) {
    throw new EmuError('INVALID_CONFIG', `[instruct] ${from ?? 'the model'} has adapters already`, {
      hint: 'Merge them first.',
      details: { from },
    });
  }
  const rows = source.config.llama.vocabulary;
  const tokens = source.stageTokenizer?.conversation.vocabularySize ?? rows;
  if (tokens > rows) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[instruct] with [USER] and [ASSISTANT] there are ${tokens} tokens, the model's table has ${rows} rows`,
      { hint: 'Train a model whose llama.vocabulary has two rows more.', details: { tokens, rows } },
    );
  }
  return {
    rank: adapter.r,
    alpha: adapter.lora_alpha,
    targets: adapter.target_modules as readonly LoraTarget[],
  };
}

/** Ids of [USER] and [ASSISTANT], in the order of the trained rows. */
function roleIds(source: ModelSource): readonly number[] {
  const { user, assistant } = source.conversationTokenizer.specialTokens;
  if (user === undefined || assistant === undefined) {
    throw new EmuError('INTERNAL', '[instruct] the tokenizer has no roles');
  }
  return [user, assistant];
}

/** Inputs that put the trained rows into the places of their tokens. */
function roleRows(
  { ids }: Readonly<Record<string, TensorData>>,
  source: ModelSource,
): Readonly<Record<string, TensorData>> {
  const roles = roleIds(source);
  const tokenRowIndex = Int32Array.from(ids as Int32Array, (id) => Math.max(roles.indexOf(id), 0));
  const tokenRowTarget = Int32Array.from(ids as Int32Array, (id, place) => (roles.includes(id) ? place : -1));
  return { tokenRowIndex, tokenRowTarget };
}

function initialValues(
  source: ModelSource,
  name: string,
  parameters: TrainedWeights['parameters'],
): WeightSource | Promise<WeightSource> {
  if (name === tokenRowsName) return firstRoleRows(source);
  if (!name.includes('.lora_')) return source.initial(name.replace(wrappedPrefix, plainPrefix));
  const index = parameters.findIndex((parameter) => parameter.name === name);
  const shape = parameters[index]?.shape ?? [];
  const initialisation = initialisationOf('multimodal', name, shape, source.config);
  const data = new Float32Array(elementCount(shape));
  let at = 0;
  for (const piece of randomPieces(shape, initialisation, source.seed, adapterStream + index)) {
    data.set(piece, at);
    at += piece.length;
  }
  return { kind: 'data', dtype: 'f32', data };
}

const tableName = 'decoder.lm.model.embed_tokens.weight';

async function tokenTable(
  source: ModelSource,
): Promise<{ readonly shape: readonly number[]; readonly values: Float32Array }> {
  const tensor = source.tensors.find(({ sessionName }) => sessionName === tableName);
  const entry = tensor && source.entry(tensor);
  if (tensor === undefined) throw new EmuError('INTERNAL', '[instruct] the model has no token table');
  if (entry !== undefined) return { shape: tensor.shape, values: toFloat32(await readTensor(entry)).slice() };
  const initial = source.initial(tableName);
  if (initial.kind !== 'data') throw new EmuError('INTERNAL', '[instruct] the token table is in no file');
  return { shape: tensor.shape, values: toFloat32({ shape: tensor.shape, ...initial }).slice() };
}

/** The roles begin as the mean of the tokens of their words: "user" and "assistant". */
async function firstRoleRows(source: ModelSource): Promise<WeightSource> {
  const { values, shape } = await tokenTable(source);
  const width = shape[1] ?? 0;
  const data = new Float32Array(2 * width);
  for (const [row, word] of ['user', 'assistant'].entries()) {
    const ids = source.tokenizer.encode(word, { addBos: false });
    for (const id of ids) {
      for (let d = 0; d < width; d++) {
        data[row * width + d] = (data[row * width + d] ?? 0) + (values[id * width + d] ?? 0) / ids.length;
      }
    }
  }
  return { kind: 'data', dtype: 'f32', data };
}

/** The adapters, and with trained rows the whole token table, as peft saves a table that a tuning changed. */
async function adapterTensors(
  source: ModelSource,
  weights: TrainedWeights,
): Promise<readonly AdapterTensor[]> {
  const tensors: AdapterTensor[] = [];
  for (const { name, shape } of weights.parameters) {
    if (name.includes('.lora_')) tensors.push({ name, shape, values: await weights.read(name) });
    if (name !== tokenRowsName) continue;
    const { shape: sides, values } = await tokenTable(source);
    const rows = await weights.read(name);
    const width = sides[1] ?? 0;
    for (const [row, id] of roleIds(source).entries()) {
      values.set(rows.subarray(row * width, (row + 1) * width), id * width);
    }
    tensors.push({ name: tableName.replace(plainPrefix, wrappedPrefix), shape: sides, values });
  }
  return tensors;
}

/** Answers to questions about held-out pictures, the true answer in the prompt's brackets. */
async function answers(
  recipe: InstructRecipe,
  source: ModelSource,
  sources: readonly MixedSource[],
  save: TrainingTask['save'],
  { weights, signal }: SampleContext,
): Promise<readonly TrainingSample[]> {
  const { folder } = source;
  if (folder === undefined) return [];
  const samples = await fixedSamples(
    sources,
    seedOf(recipe, 'evaluation'),
    recipe.samples,
    ({ kind }) => kind === 'question',
  );
  if (samples.length === 0) return [];
  return inTemporaryFolder(async (adapter) => {
    await save(weights, adapter);
    const emu = await Emu.fromPretrained(folder.path, { dtype: 'f32', adapter, ...(signal && { signal }) });
    try {
      const made: TrainingSample[] = [];
      for (const [index, { elements }] of samples.entries()) {
        const picture = elements.find((element) => element.type === 'image');
        const question = elements.find((element) => element.type === 'text' && element.role === 'user');
        const answer = elements.find((element) => element.type === 'text' && element.role === 'assistant');
        if (picture?.type !== 'image' || question?.type !== 'text' || answer?.type !== 'text') continue;
        const { width, height, data } = picture.image;
        const media = image(rgbPixels(width, height, data));
        const stream = emu.ask(media, question.text, {
          numBeams: 1,
          maxNewTokens: 32,
          ...(signal && { signal }),
        });
        const prompt = `${question.text} (${answer.text})`;
        made.push({ kind: 'text', name: `answer-${index}`, prompt, text: await stream.text() });
      }
      return made;
    } finally {
      await emu.dispose();
    }
  });
}
