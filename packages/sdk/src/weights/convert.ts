import { resolve } from 'node:path';

import { EmuError } from '@emu/program';

import { makeFolder } from './atomic-file.js';
import { convertedType, planComponent, type PlannedComponent, type WeightDType } from './convert-plan.js';
import { ConvertRecord, fingerprintOf } from './convert-record.js';
import { convertedTexts, type TextFile } from './convert-texts.js';
import { openModelFolder, type ModelFolder } from './official-layout.js';
import type { WeightsProgress } from './progress.js';
import type { TensorFile } from './tensor-source.js';
import { writeModelFolder, type WrittenModel } from './write-model-folder.js';

export interface ConvertOptions {
  /** A model folder or checkpoint file, as `openModelFolder` takes it. */
  readonly from: string;
  /** The folder to write: absent, empty, or one that an earlier call began. */
  readonly to: string;
  readonly dtype: WeightDType;
  readonly variant?: 'pretrain' | 'instruct';
  readonly loraAlpha?: number;
  /** Largest weights file in bytes; 5 GB by default. A larger tensor gets a file of its own. */
  readonly maxShardBytes?: number;
  readonly onProgress?: (progress: WeightsProgress) => void;
  readonly signal?: AbortSignal;
}

/** Largest weights file in bytes, unless the caller says otherwise. */
export const defaultShardBytes = 5_000_000_000;

const weightDTypes: readonly string[] = ['f32', 'bf16'] satisfies WeightDType[];

function checkOptions({ from, to, dtype, maxShardBytes = defaultShardBytes }: ConvertOptions): void {
  if (!weightDTypes.includes(dtype)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[convert] dtype must be ${weightDTypes.join(' or ')}, ${dtype} came`,
      {
        details: { dtype },
      },
    );
  }
  if (!Number.isSafeInteger(maxShardBytes) || maxShardBytes < 1) {
    throw new EmuError(
      'INVALID_OPTION',
      `[convert] maxShardBytes must be an integer above 0, ${maxShardBytes} came`,
      {
        details: { maxShardBytes },
      },
    );
  }
  if (resolve(from) === resolve(to)) {
    throw new EmuError('INVALID_OPTION', `[convert] source and target are one folder: ${from}`, {
      hint: 'Give another target.',
      details: { from, to },
    });
  }
}

function components(model: ModelFolder, dtype: WeightDType, maxShardBytes: number): PlannedComponent[] {
  const plan = (file: TensorFile, stem: string): PlannedComponent =>
    planComponent(file, stem, maxShardBytes, (name, stored, shape) =>
      convertedType(name, stored, shape, dtype),
    );
  const planned = [plan(model.multimodal.file, 'model')];
  const { visualDecoder } = model;
  if (!visualDecoder) return planned;
  planned.push(plan(visualDecoder.unet, 'unet/diffusion_pytorch_model'));
  planned.push(plan(visualDecoder.vae, 'vae/diffusion_pytorch_model'));
  if (visualDecoder.safetyChecker) {
    // Its verdicts are comparisons with thresholds: nothing of it is rounded.
    planned.push(
      planComponent(
        visualDecoder.safetyChecker,
        'safety_checker/model',
        maxShardBytes,
        (_, stored) => stored,
      ),
    );
  }
  return planned;
}

function sourcePaths(model: ModelFolder, texts: readonly TextFile[]): string[] {
  const { visualDecoder } = model;
  const files = [
    model.multimodal.file,
    ...(visualDecoder ? [visualDecoder.unet, visualDecoder.vae] : []),
    ...(visualDecoder?.safetyChecker ? [visualDecoder.safetyChecker] : []),
  ];
  return [
    ...files.flatMap(({ entries }) => [...new Set([...entries.values()].map(({ file }) => file))]),
    ...texts.flatMap((text) => (text.kind === 'copy' ? [text.from] : [])),
  ];
}

/**
 * Writes a model in our folder layout: `config.json`, `generation_config.json`, `preprocessor_config.json`, the
 * tokenizer, `model.safetensors` (or shards with an index), and the visual decoder in diffusers layout with
 * `model_index.json`. Tensor names are the official ones, adapters stay apart. With `bf16`, matrices are rounded
 * and one-dimensional tensors stay f32 (`convertedType`); the safety checker keeps its stored types.
 *
 * Files appear whole or not at all, and `config.json` comes last: a folder without it is not a model. Repeating
 * the call after an interruption keeps the finished files.
 * @throws EmuError INVALID_OPTION, MODEL_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_UNSAFE, INVALID_CONFIG; the
 * signal's reason.
 */
export async function convertCheckpoint(options: ConvertOptions): Promise<WrittenModel> {
  checkOptions(options);
  const {
    from,
    to,
    dtype,
    variant,
    loraAlpha,
    maxShardBytes = defaultShardBytes,
    onProgress,
    signal,
  } = options;
  signal?.throwIfAborted();
  const model = await openModelFolder(from, {
    ...(variant === undefined ? {} : { variant }),
    ...(loraAlpha === undefined ? {} : { loraAlpha }),
  });
  const planned = components(model, dtype, maxShardBytes);
  const texts = await convertedTexts(model, dtype, planned);
  const weights = planned.flatMap(({ files }) => files);
  const contents = texts.map((text) => (text.kind === 'text' ? text.text : ''));
  await makeFolder(to);
  const fingerprint = await fingerprintOf(sourcePaths(model, texts), { dtype, maxShardBytes, contents });
  const record = await ConvertRecord.open(
    to,
    fingerprint,
    [...weights, ...texts].map(({ path }) => path),
  );
  return writeModelFolder(to, record, weights, texts, {
    phase: 'convert',
    ...(onProgress ? { onProgress } : {}),
    ...(signal ? { signal } : {}),
  });
}
