import { createHash } from 'node:crypto';

import { EmuError, Philox } from '@emu/program';

import { checkpointComponents, type Component, type ComponentName } from '../models/components.js';
import type { EmuConfig } from '../models/config.js';
import {
  convertedType,
  planTensors,
  type PlannedComponent,
  type WeightDType,
} from '../weights/convert-plan.js';
import { makeFolder } from '../weights/atomic-file.js';
import { ConvertRecord } from '../weights/convert-record.js';
import { jsonText } from '../weights/convert-texts.js';
import { defaultShardBytes } from '../weights/convert.js';
import type { WeightsProgress } from '../weights/progress.js';
import type { TensorToWrite } from '../weights/safetensors-writer.js';
import { writeModelFolder, type WrittenModel } from '../weights/write-model-folder.js';
import { parseEmuConfig } from './emu-config.js';
import { freshTexts } from './folder-texts.js';
import { freshTokenizer } from './fresh-tokenizer.js';
import { initialisationOf } from './initialisation.js';
import { randomPieces } from './random-tensor.js';

export interface InitializeOptions {
  /** Sizes of the model, as in `models/*.json`; without a safety checker, which must be trained to be of use. */
  readonly config: EmuConfig;
  /** Folder with the tokenizer.json of a LLaMA tokenizer; Emu's own tokens are added to it. */
  readonly tokenizerFolder: string;
  /** 0..2^64-1. The same seed gives the same bytes. */
  readonly seed: number | bigint;
  /** The folder to write: absent, empty, or one that an earlier call began. */
  readonly to: string;
  /** Element type of the matrices; f32 by default. */
  readonly dtype?: WeightDType;
  /** Largest weights file in bytes; 5 GB by default. A larger tensor gets a file of its own. */
  readonly maxShardBytes?: number;
  readonly onProgress?: (progress: WeightsProgress) => void;
  readonly signal?: AbortSignal;
}

const stems: Readonly<Record<ComponentName, string>> = {
  multimodal: 'model',
  unet: 'unet/diffusion_pytorch_model',
  vae: 'vae/diffusion_pytorch_model',
  safetyChecker: 'safety_checker/model',
};

function checkOptions({ seed, dtype = 'f32', maxShardBytes = defaultShardBytes }: InitializeOptions): void {
  new Philox(seed); // refuses a seed that is none
  if (!['f32', 'bf16'].includes(dtype)) {
    throw new EmuError('INVALID_OPTION', `[initialize] dtype must be f32 or bf16, ${dtype} came`, {
      details: { dtype },
    });
  }
  if (!Number.isSafeInteger(maxShardBytes) || maxShardBytes < 1) {
    throw new EmuError(
      'INVALID_OPTION',
      `[initialize] maxShardBytes must be an integer above 0, ${maxShardBytes} came`,
      { details: { maxShardBytes } },
    );
  }
}

/** Every tensor of a component, to be drawn while it is written. Streams count through the whole model. */
function freshTensors(
  { name: component, tensors }: Component,
  firstStream: number,
  config: EmuConfig,
  seed: number | bigint,
  dtype: WeightDType,
): TensorToWrite[] {
  return tensors.map(({ name, shape }, index) => {
    const initialisation = initialisationOf(component, name, shape, config);
    const pieces = (): Iterable<Float32Array> =>
      randomPieces(shape, initialisation, seed, firstStream + index);
    return { name, shape, dtype: convertedType(name, 'f32', shape, dtype), pieces };
  });
}

function plan(config: EmuConfig, options: InitializeOptions): PlannedComponent[] {
  const { seed, dtype = 'f32', maxShardBytes = defaultShardBytes } = options;
  let stream = 0;
  return checkpointComponents(config).map((component) => {
    const tensors = freshTensors(component, stream, config, seed, dtype);
    stream += tensors.length;
    return planTensors(tensors, stems[component.name], maxShardBytes);
  });
}

/**
 * Makes an untrained model: a folder in our layout, as `convertCheckpoint` writes it, with weights drawn from the
 * seed. Matrices get the initialisations that each part was published with (`initialisationOf` names them), biases 0,
 * norms 1. What such a model says and paints means nothing until it is trained.
 *
 * Values are drawn while they are written: memory does not grow with the model. Files appear whole or not at all,
 * `config.json` last; repeating the call after an interruption keeps the finished files.
 * @throws EmuError INVALID_CONFIG, INVALID_OPTION, MODEL_NOT_FOUND without a tokenizer.json, CHECKPOINT_CORRUPT or
 * CAPABILITY_MISSING for a tokenizer of another kind; the signal's reason.
 */
export async function initializeCheckpoint(options: InitializeOptions): Promise<WrittenModel> {
  checkOptions(options);
  const {
    tokenizerFolder,
    seed,
    to,
    dtype = 'f32',
    maxShardBytes = defaultShardBytes,
    onProgress,
    signal,
  } = options;
  signal?.throwIfAborted();
  const config = parseEmuConfig(options.config, 'config');
  const tokenizer = await freshTokenizer(tokenizerFolder, config.llama.vocabulary);
  const planned = plan(config, options);
  const weights = planned.flatMap(({ files }) => files);
  const texts = [
    ...planned.flatMap(({ index }) => (index ? [jsonText(index.path, index.json)] : [])),
    ...freshTexts(config, tokenizer, dtype),
  ];
  const tokenizerHash = createHash('sha256').update(tokenizer.text).digest('hex');
  const fingerprint = JSON.stringify({
    initialize: { config, seed: String(seed), dtype, maxShardBytes, tokenizerHash },
  });
  await makeFolder(to);
  const record = await ConvertRecord.open(
    to,
    fingerprint,
    [...weights, ...texts].map(({ path }) => path),
  );
  return writeModelFolder(to, record, weights, texts, {
    phase: 'initialize',
    ...(onProgress ? { onProgress } : {}),
    ...(signal ? { signal } : {}),
  });
}
