import { EmuError, type WeightSource } from '@emu/program';

import { initialisationOf } from '../../initialize/initialisation.js';
import { randomPieces } from '../../initialize/random-tensor.js';
import { checkpointComponents, type ComponentName } from '../../models/components.js';
import type { EmuConfig } from '../../models/config.js';
import { evaVitHead } from '../../models/eva-vit.js';
import { Parameters, type CheckpointTensor } from '../../nn/parameters.js';
import type { EmuTokenizer } from '../../tokenizer/index.js';
import { openModelFolder, type ModelFolder } from '../../weights/official-layout.js';
import type { TensorEntry } from '../../weights/tensor-source.js';
import { readTrainingConfig } from './training-config.js';
import { openTokenizer, type StageTokenizer } from './stage-tokenizer.js';

/** Where a stage finds its model: sizes for one that starts from nothing, or a folder that an earlier stage wrote. */
export interface ModelSourceOptions {
  /** Sizes, a file as in `models/*.json`. */
  readonly model?: string | undefined;
  /** Folder with the tokenizer.json of a LLaMA tokenizer; with `model`. */
  readonly tokenizer?: string | undefined;
  /** A model folder; instead of the two. */
  readonly from?: string | undefined;
  /** Seed of the tensors that no file has. */
  readonly seed: number;
  /** True: sizes are enough, the tokenizer is not opened. */
  readonly planOnly?: boolean;
}

/** One tensor of the whole model: its component, its name there, and its name in programs. */
export interface ModelTensor extends CheckpointTensor {
  readonly component: ComponentName;
  readonly sessionName: string;
}

/**
 * The model that a stage starts from: configuration, tokenizer, and for every tensor its first values, from a folder
 * where that has it, else drawn from the seed as `initializeCheckpoint` draws it.
 */
export class ModelSource {
  readonly #byName: ReadonlyMap<string, { readonly tensor: ModelTensor; readonly stream: number }>;

  private constructor(
    readonly config: EmuConfig,
    /** The folder that was opened, if any. */
    readonly folder: ModelFolder | undefined,
    readonly seed: number,
    readonly tensors: readonly ModelTensor[],
    readonly stageTokenizer: StageTokenizer | undefined,
  ) {
    this.#byName = new Map(tensors.map((tensor, stream) => [tensor.sessionName, { tensor, stream }]));
  }

  /**
   * @throws EmuError INVALID_CONFIG unless either `from` or `model` (with `tokenizer`) is given, or for sizes that do not
   *   fit the tokenizer; MODEL_NOT_FOUND, CHECKPOINT_CORRUPT.
   */
  static async open(options: ModelSourceOptions): Promise<ModelSource> {
    const { model, tokenizer, from, seed, planOnly = false } = options;
    if ((from === undefined) === (model === undefined)) {
      throw new EmuError(
        'INVALID_CONFIG',
        '[train] the recipe needs either `from`, a model folder, or `model` and `tokenizer`, sizes and a tokenizer',
        { hint: 'Name one of the two.', details: { from, model, tokenizer } },
      );
    }
    const folder = from === undefined ? undefined : await openModelFolder(from);
    const config = folder?.config ?? (await readTrainingConfig(model ?? ''));
    const tokens = folder?.tokenizerFolder ?? tokenizer;
    const opened = planOnly
      ? undefined
      : await openTokenizer(tokens, config.llama.vocabulary, folder !== undefined);
    return new ModelSource(config, folder, seed, modelTensors(config), opened);
  }

  /** @throws EmuError INTERNAL for a plan, which has none. */
  get tokenizer(): EmuTokenizer {
    return this.#tokens.tokenizer;
  }

  /** The same with [USER] and [ASSISTANT], whose rows are the last of the token table. */
  get conversationTokenizer(): EmuTokenizer {
    return this.#tokens.conversation;
  }

  get #tokens(): StageTokenizer {
    if (this.stageTokenizer !== undefined) return this.stageTokenizer;
    throw new EmuError('INTERNAL', '[train] a plan has no tokenizer');
  }

  /** First values of a tensor by its name in programs. @throws EmuError INTERNAL for a name that the model lacks. */
  initial(sessionName: string): WeightSource {
    const known = this.#byName.get(sessionName);
    if (known === undefined) throw new EmuError('INTERNAL', `[train] the model has no tensor ${sessionName}`);
    const { tensor } = known;
    const entry = this.entry(tensor);
    if (entry === undefined) return { kind: 'data', dtype: 'f32', data: this.#drawn(tensor) };
    const { file: path, byteOffset, dtype, strides } = entry;
    return { kind: 'file', path, byteOffset, dtype, ...(strides && { strides }) };
  }

  /** Where the folder keeps a tensor; undefined where it has none and the seed decides. */
  entry({ component, name }: ModelTensor): TensorEntry | undefined {
    if (this.folder === undefined) return undefined;
    const { multimodal, visualDecoder } = this.folder;
    if (component === 'multimodal') return multimodal.file.entries.get(name);
    if (component === 'unet' || component === 'vae') return visualDecoder?.[component].entries.get(name);
    return undefined;
  }

  /** Values of a tensor in pieces, as the seed draws them. */
  pieces(sessionName: string): Iterable<Float32Array> {
    const known = this.#byName.get(sessionName);
    if (known === undefined) throw new EmuError('INTERNAL', `[train] the model has no tensor ${sessionName}`);
    const { component, name, shape } = known.tensor;
    const initialisation = initialisationOf(component, name, shape, this.config);
    return randomPieces(shape, initialisation, this.seed, known.stream);
  }

  #drawn({ sessionName, shape }: ModelTensor): Float32Array {
    const data = new Float32Array(shape.reduce((count, side) => count * side, 1));
    let at = 0;
    for (const piece of this.pieces(sessionName)) {
      data.set(piece, at);
      at += piece.length;
    }
    return data;
  }
}

/**
 * Every tensor of a model in the order of its components, so that the same seed gives the values of
 * `initializeCheckpoint`; EVA-CLIP's own norm and head, which only the contrastive stage reads, come last.
 */
export function modelTensors(config: EmuConfig): readonly ModelTensor[] {
  const all = checkpointComponents(config).flatMap(({ name: component, sessionPrefix, tensors }) =>
    tensors.map(({ name, shape }) => ({ component, name, shape, sessionName: sessionPrefix + name })),
  );
  const heads = Parameters.askedBy((p) => evaVitHead(p.in('visual'), config.visual));
  return [
    ...all,
    ...heads.map(({ name, shape }) => ({ component: 'multimodal' as const, name, shape, sessionName: name })),
  ];
}
