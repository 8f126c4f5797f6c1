import {
  EmuError,
  type Backend,
  type BackendDescription,
  type Executable,
  type Program,
  type Session,
} from '@emu/program';

import { Decoder, type DecoderStatistics } from './generate/step.js';
import { checkpointComponents, type ComponentName } from './models/components.js';
import type { EmuConfig, LlamaConfig } from './models/config.js';
import { decoderProgram, type CacheConfig } from './models/decoder.js';
import { encodeImagesProgram } from './models/encode-images.js';
import { safetyCheckerPrefix, safetyCheckerProgram } from './models/safety-checker.js';
import { unetPrefix, unetProgram } from './models/unet-program.js';
import { vaeDecodeProgram, vaePrefix, vaeScale } from './models/vae-program.js';
import { singlePrecision, type Precision } from './nn/parameters.js';
import type { EmuTokenizer } from './tokenizer/index.js';
import { loadWeights, type LoadOptions } from './weight-loader.js';
import { matchTensors } from './weights/check.js';
import type { TensorEntry, TensorFile } from './weights/tensor-source.js';

/** Parts of a model that are loaded by themselves. */
export const modelParts = ['vision', 'language', 'unet', 'vae', 'safety'] as const;
export type ModelPart = (typeof modelParts)[number];

/** Values of the option dtype. */
export const modelDtypes = ['auto', 'f32', 'bf16'] as const;
export type ModelDtype = (typeof modelDtypes)[number];

/** Everything a model is made of, found but not read. */
export interface ModelFiles {
  /** Name of the folder, for messages. */
  readonly name: string;
  readonly config: EmuConfig;
  readonly tokenizer: EmuTokenizer;
  /** Whose embedding space this is: equal exactly for models whose visual embeddings mean the same. */
  readonly space: string;
  readonly checkpoints: Readonly<Partial<Record<ComponentName, TensorFile>>>;
  /** Content of generation_config.json. */
  readonly generation: Readonly<Record<string, unknown>>;
  /** Content of scheduler_config.json. */
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** Content of the safety checker's preprocessor_config.json. */
  readonly featureExtractor?: Readonly<Record<string, unknown>>;
  /** Values of small tensors, for what is computed outside of programs. */
  readonly readFloats: (entry: TensorEntry) => Promise<Float32Array>;
}

export interface ModelOptions extends LoadOptions {
  /**
   * Dtype of matrices in the vision encoder, the language model and the U-Net, and of the key/value cache. `auto`: as
   * the checkpoint stores the language model's matrices, with f16 taken as bf16. VAE and safety checker are always
   * f32: they are small, and their rounding would show.
   */
  readonly dtype?: ModelDtype;
  /** Native threads; the cores that are there by default. */
  readonly threads?: number;
  /** Parts to load now; the others load when they are first used. Default: vision and language. */
  readonly preload?: 'all' | readonly ModelPart[];
  /** Sequences the key/value cache holds at a time, beams counted; default 64. */
  readonly cacheSlots?: number;
  /**
   * Positions in the key/value cache, over all sequences. Default: as many as fit into 256 MiB, but at least twice and
   * at most 32 times the context length. Memory is taken as they are first used.
   */
  readonly cacheTokens?: number;
  /** Calls that may wait for a place in the cache before further ones get QUEUE_FULL; default 1024. */
  readonly queueLimit?: number;
}

/** Compiled programs kept at a time. Sizes of pictures come from outside, and each has programs of its own. */
const keptExecutables = 24;
const positionsPerPage = 16;
const defaultCacheBytes = 256 * 2 ** 20;
const componentOf: Readonly<Record<ModelPart, ComponentName>> = {
  vision: 'multimodal',
  language: 'multimodal',
  unet: 'unet',
  vae: 'vae',
  safety: 'safetyChecker',
};

/**
 * A model in a backend session: checks the checkpoints, loads weights part by part, keeps compiled programs.
 * Owns the session; the one thing to close.
 */
export class LoadedModel {
  readonly precision: Precision;
  readonly device: BackendDescription;
  readonly #session: Session;
  readonly #tensors: ReadonlyMap<ComponentName, ReadonlyMap<string, TensorEntry>>;
  readonly #loading = new Map<ModelPart, Promise<void>>();
  readonly #executables = new Map<string, Executable>();
  readonly cacheConfig: CacheConfig;
  #decoder: Decoder | undefined;
  #disposal: Promise<void> | undefined;

  private constructor(
    readonly files: ModelFiles,
    backend: Backend,
    readonly options: ModelOptions,
  ) {
    this.#tensors = checkedTensors(files);
    this.precision = { matrices: chosenDtype(files, options.dtype ?? 'auto') };
    this.cacheConfig = cacheConfig(files.config.llama, this.precision.matrices, options);
    this.device = backend.describe();
    this.#session = backend.openSession(options.threads === undefined ? {} : { threads: options.threads });
  }

  /**
   * Checks all tensors of a model, opens a session and loads the parts asked for.
   * @throws EmuError CHECKPOINT_CORRUPT with every missing, unexpected and mis-shaped tensor of a file, INVALID_OPTION,
   *   OUT_OF_MEMORY, or `signal.reason`.
   */
  static async open(files: ModelFiles, backend: Backend, options: ModelOptions = {}): Promise<LoadedModel> {
    const model = new LoadedModel(files, backend, options);
    try {
      const { preload = ['vision', 'language'] } = options;
      const parts = preload === 'all' ? modelParts.filter((part) => model.has(part)) : preload;
      for (const part of parts) await model.load(part, options);
      return model;
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  get config(): EmuConfig {
    return this.files.config;
  }

  get disposed(): boolean {
    return this.#disposal !== undefined;
  }

  /** Bytes of weights and states. */
  get memoryBytes(): number {
    return this.#session.memoryBytes;
  }

  /** What the language model has done so far; all 0 before its first use. */
  get decoderStatistics(): DecoderStatistics {
    return this.#decoder?.statistics ?? { runs: 0, rows: 0, rowsShared: 0 };
  }

  /** Whether the checkpoint has a part. */
  has(part: ModelPart): boolean {
    return this.#tensors.has(componentOf[part]);
  }

  /** Loads a part; free when it is there. A load that failed can be tried again. */
  load(part: ModelPart, options: LoadOptions = {}): Promise<void> {
    this.checkOpen();
    const known = this.#loading.get(part);
    if (known !== undefined) return known;
    const loading = this.#load(part, { onProgress: this.options.onProgress, ...options });
    this.#loading.set(part, loading);
    loading.catch(() => this.#loading.delete(part));
    return loading;
  }

  /**
   * Loads what a program names beyond the parts, such as a VAE's encoder or the stages that tests look at. Weights
   * that are there already cost nothing.
   * @throws EmuError CAPABILITY_MISSING when the model has no such checkpoint, MODEL_NOT_READY for a missing tensor.
   */
  async loadFor(program: Program, component: ComponentName, options: LoadOptions = {}): Promise<void> {
    this.checkOpen();
    const file = this.files.checkpoints[component];
    if (file === undefined) {
      throw new EmuError('CAPABILITY_MISSING', `[model] ${this.files.name} has no ${component} checkpoint`, {
        details: { component },
      });
    }
    const { sessionPrefix } = checkpointComponents(this.config).find(({ name }) => name === component) ?? {
      sessionPrefix: '',
    };
    await loadWeights(this.#session, `load ${program.name}`, [program], file.entries, sessionPrefix, options);
  }

  /** The language model with its cache; loads it if need be. */
  async decoder(options: LoadOptions = {}): Promise<Decoder> {
    await this.load('language', options);
    this.#decoder ??= new Decoder(this.#session, this.config.llama, this.cacheConfig, this.precision);
    return this.#decoder;
  }

  /** Positions that one sequence may have. */
  get contextLength(): number {
    return this.config.llama.contextLength;
  }

  /**
   * Compiles a program, or returns the one compiled before under this key. Its part must be loaded. Run it before the
   * next `await`: the one longest unused is closed when there are too many.
   */
  compiled(key: string, build: () => Program): Executable {
    this.checkOpen();
    const executable = this.#executables.get(key) ?? this.#session.compile(build());
    this.#executables.delete(key);
    this.#executables.set(key, executable);
    for (const [oldest, unused] of this.#executables) {
      if (this.#executables.size <= keptExecutables) break;
      this.#executables.delete(oldest);
      unused.close();
    }
    return executable;
  }

  /** Entry of a checkpoint's tensor. @throws EmuError CAPABILITY_MISSING when the model has no such checkpoint. */
  tensor(component: ComponentName, name: string): TensorEntry {
    const entry = this.#tensors.get(component)?.get(name);
    if (entry !== undefined) return entry;
    throw new EmuError(
      'CAPABILITY_MISSING',
      `[model] ${this.files.name} has no tensor "${name}" (${component})`,
    );
  }

  /** @throws EmuError MODEL_DISPOSED */
  checkOpen(): void {
    if (this.disposed) throw new EmuError('MODEL_DISPOSED', '[model] the model has been disposed');
  }

  /** Waits for running work, then frees everything. Safe to call twice. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#close();
    return this.#disposal;
  }

  async #close(): Promise<void> {
    // A part that is still loading must not put tensors into a session that is going.
    await Promise.allSettled(this.#loading.values());
    await this.#session.dispose();
    this.#executables.clear();
    this.#decoder = undefined;
  }

  async #load(part: ModelPart, options: LoadOptions): Promise<void> {
    const component = componentOf[part];
    const tensors = this.#tensors.get(component);
    if (tensors === undefined) {
      throw new EmuError('CAPABILITY_MISSING', `[model] ${this.files.name} has no ${part} part`, {
        hint: part === 'safety' ? 'Pass safetyChecker: "off".' : 'Use a checkpoint with a visual decoder.',
        details: { part },
      });
    }
    const { programs, prefix } = this.#programsOf(part);
    await loadWeights(this.#session, `load ${part}`, programs, tensors, prefix, options);
  }

  /** Programs that together name every weight of a part, in the layouts in which they are read. */
  #programsOf(part: ModelPart): { readonly programs: readonly Program[]; readonly prefix: string } {
    const { config, precision } = this;
    if (part === 'vision') return { programs: [encodeImagesProgram(config, 1, { precision })], prefix: '' };
    if (part === 'language') {
      const options = { rows: 1, logitRows: 1, outputs: ['logits', 'regressed'] } as const;
      const program = decoderProgram(config.llama, { ...this.cacheConfig, precision, ...options });
      return { programs: [program], prefix: '' };
    }
    const decoder = config.visualDecoder;
    if (decoder === undefined) throw new EmuError('CAPABILITY_MISSING', `[model] there is no visual decoder`);
    if (part === 'unet') {
      const side = 2 ** (decoder.unet.blockChannels.length - 1);
      const shape = { batch: 1, height: side, width: side, tokens: 1 };
      return { programs: [unetProgram(decoder.unet, shape, { precision })], prefix: unetPrefix };
    }
    if (part === 'vae') {
      const shape = { batch: 1, height: vaeScale(decoder.vae), width: vaeScale(decoder.vae) };
      return { programs: [vaeDecodeProgram(decoder.vae, shape)], prefix: vaePrefix };
    }
    if (decoder.safetyChecker === undefined)
      throw new EmuError('CAPABILITY_MISSING', '[model] no safety checker');
    return { programs: [safetyCheckerProgram(decoder.safetyChecker, 1)], prefix: safetyCheckerPrefix };
  }
}

/** Compares every checkpoint with what the model's own code asks for. */
function checkedTensors(files: ModelFiles): ReadonlyMap<ComponentName, ReadonlyMap<string, TensorEntry>> {
  const tensors = new Map<ComponentName, ReadonlyMap<string, TensorEntry>>();
  for (const { name, tensors: needed, unused } of checkpointComponents(files.config)) {
    const file = files.checkpoints[name];
    if (file === undefined) continue;
    tensors.set(name, matchTensors(file, needed, { ignored: unused }));
  }
  return tensors;
}

function chosenDtype(files: ModelFiles, dtype: ModelDtype): 'f32' | 'bf16' {
  if (!modelDtypes.includes(dtype)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[model] dtype ${JSON.stringify(dtype)} is none of ${modelDtypes.join(', ')}`,
      { details: { dtype } },
    );
  }
  if (dtype !== 'auto') return dtype;
  const { entries } = files.checkpoints.multimodal ?? { entries: new Map<string, TensorEntry>() };
  const table = [...entries].find(
    ([name]) => name.endsWith('model.embed_tokens.weight') && name.includes('lm.'),
  );
  const stored = table?.[1].dtype ?? singlePrecision.matrices;
  return stored === 'bf16' || stored === 'f16' ? 'bf16' : 'f32';
}

/**
 * The key/value cache that a model gets.
 * @throws EmuError INVALID_OPTION for sizes out of range.
 */
export function cacheConfig(
  llama: LlamaConfig,
  cacheDtype: 'f32' | 'bf16',
  options: Pick<ModelOptions, 'cacheTokens' | 'cacheSlots'>,
): CacheConfig {
  const bytesPerPosition = llama.layers * 2 * llama.width * (cacheDtype === 'f32' ? 4 : 2);
  const affordable = Math.floor(defaultCacheBytes / bytesPerPosition);
  const context = llama.contextLength;
  const { cacheTokens = Math.max(2 * context, Math.min(32 * context, affordable)), cacheSlots = 64 } =
    options;
  for (const [name, value, most] of [
    ['cacheTokens', cacheTokens, 2 ** 26],
    ['cacheSlots', cacheSlots, 512],
  ] as const) {
    if (Number.isInteger(value) && value >= 1 && value <= most) continue;
    throw new EmuError(
      'INVALID_OPTION',
      `[model] ${name} must be a whole number in 1..${most}, got ${value}`,
      {
        details: { [name]: value, maximum: most },
      },
    );
  }
  return {
    slots: cacheSlots,
    pages: Math.ceil(cacheTokens / positionsPerPage),
    pageSize: positionsPerPage,
    pagesPerSlot: Math.ceil(context / positionsPerPage),
    cacheDtype,
  };
}
