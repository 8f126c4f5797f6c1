import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { EmuError, type Tensor } from '@emu/program';
import { openTensorFile, readTensor, type TensorFile } from '@emu/sdk/weights';

/** One line of a goldens manifest. */
export interface GoldenEntry {
  readonly file: string;
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly stage: string;
  /** Noise of the reference itself: largest difference of its f32 and f64 runs over the largest value. */
  readonly noise: number | undefined;
}

/** A folder of reference inputs and outputs in the format of `goldens/manifest.json`. */
export class Goldens {
  readonly #files = new Map<string, Promise<TensorFile | undefined>>();

  private constructor(
    readonly directory: string,
    /** The folder that paths such as `inputs/image0.png` are relative to. */
    readonly root: string,
    readonly entries: readonly GoldenEntry[],
    /** Pictures by number, as the cases refer to them. */
    readonly images: readonly string[],
  ) {}

  /** @throws EmuError MEDIA_NOT_FOUND without a manifest, INVALID_CONFIG for one that cannot be read. */
  static async open(directory: string): Promise<Goldens> {
    const path = join(directory, 'manifest.json');
    if (!existsSync(path)) {
      throw new EmuError('MEDIA_NOT_FOUND', `[verify] ${directory} has no manifest.json`, {
        hint: 'Give --goldens a folder in the format of the reference data: manifest.json beside its tensors.',
        details: { directory },
      });
    }
    const manifest = parseJson(path, await readFile(path, 'utf8'));
    const parent = dirname(join(directory, '.'));
    const root = existsSync(join(directory, 'inputs')) ? directory : parent;
    const meta = record(manifest['meta']);
    const images = list(meta['images']).map((image) => text(record(image)['file']));
    return new Goldens(directory, root, list(manifest['tensors']).map(goldenEntry), images);
  }

  entry(file: string, name: string): GoldenEntry | undefined {
    return this.entries.find((entry) => entry.file === file && entry.name === name);
  }

  /** Names of a file's tensors, in the manifest's order. */
  names(file: string): readonly string[] {
    return this.entries.filter((entry) => entry.file === file).map((entry) => entry.name);
  }

  /** The golden tensor, or undefined where the folder does not hold it. */
  async tensor(file: string, name: string): Promise<Tensor | undefined> {
    const opened = await this.#open(file);
    const entry = opened?.entries.get(name);
    return entry === undefined ? undefined : readTensor(entry);
  }

  /** @throws EmuError MEDIA_NOT_FOUND: the case cannot run without this input. */
  async input(file: string, name: string): Promise<Tensor> {
    const tensor = await this.tensor(file, name);
    if (tensor !== undefined) return tensor;
    throw new EmuError(
      'MEDIA_NOT_FOUND',
      `[verify] ${join(this.directory, file)} lacks the input "${name}"`,
      {
        details: { file, name },
      },
    );
  }

  /** A JSON file of the folder; undefined when it is not there. */
  async json(file: string): Promise<JsonRecord | undefined> {
    const path = join(this.directory, file);
    return existsSync(path) ? parseJson(path, await readFile(path, 'utf8')) : undefined;
  }

  #open(file: string): Promise<TensorFile | undefined> {
    const known = this.#files.get(file);
    if (known !== undefined) return known;
    const path = join(this.directory, file);
    const opened = existsSync(path) ? openTensorFile(path) : Promise.resolve(undefined);
    this.#files.set(file, opened);
    return opened;
  }
}

export type JsonRecord = Readonly<Record<string, unknown>>;

function parseJson(path: string, content: string): JsonRecord {
  try {
    return record(JSON.parse(content));
  } catch (error) {
    throw new EmuError('INVALID_CONFIG', `[verify] ${path} cannot be read as JSON`, { cause: error });
  }
}

function goldenEntry(value: unknown): GoldenEntry {
  const entry = record(value);
  const noise = record(entry['fp32_vs_float64'] ?? {})['max_rel_to_max'];
  return {
    file: text(entry['file']),
    name: text(entry['name']),
    shape: list(entry['shape']).map(Number),
    dtype: text(entry['dtype']),
    stage: text(entry['stage']),
    noise: typeof noise === 'number' ? noise : undefined,
  };
}

export function record(value: unknown): JsonRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonRecord;
  throw new EmuError('INVALID_CONFIG', `[verify] needed an object, came ${shown(value)}`);
}

export function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw new EmuError('INVALID_CONFIG', `[verify] needed a list, came ${shown(value)}`);
}

export function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new EmuError('INVALID_CONFIG', `[verify] needed a text, came ${shown(value)}`);
}

export function numbers(value: unknown): readonly number[] {
  return list(value).map(Number);
}

/** The start of a value, for messages. */
function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 60);
}
