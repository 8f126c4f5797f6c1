import { EmuError } from '@emu/program';

import type { LoraConfig, LoraTarget } from '../models/config.js';
import { corrupt, quoted, type FilePlace } from './checkpoint-error.js';
import type { TensorEntry, TensorFile } from './tensor-source.js';

/** One low-rank adapter: the weight it changes becomes W + (alpha / rank) B A. */
export interface LoraPair {
  /** A, [rank, in]. */
  readonly a: TensorEntry;
  /** B, [out, rank]. */
  readonly b: TensorEntry;
  readonly rank: number;
  readonly alpha: number;
}

/** The tensors of the multimodal encoder under the official names. */
export interface EncoderTensors {
  readonly file: TensorFile;
  /** Adapters by the name of the weight they change in `file`; empty for the pretrained model. */
  readonly adapters: ReadonlyMap<string, LoraPair>;
  /** Rank, alpha and targets of the adapters; absent without any. */
  readonly lora?: LoraConfig;
}

/** Adapter scale of the authors' `inference.py --instruct`; a state dict does not hold it. */
export const defaultLoraAlpha = 16;

/**
 * Tensors of official checkpoints that the model does not compute with: the rotary buffer (rounded to bf16), the
 * T5 stack's own token table, and the vision tower's norm and head, in whose place `ln_visual` stands.
 */
export const unusedEncoderTensors: readonly RegExp[] = [
  /\.rotary_emb\.inv_freq$/,
  /^cformer\.cformer\.embed_tokens\.weight$/,
  /^visual\.norm\.(weight|bias)$/,
  /^visual\.head\.(weight|bias)$/,
];

/** Buffer of CLIP in the safety checker: 0, 1, 2, ... */
export const unusedSafetyCheckerTensors: readonly RegExp[] = [/\.embeddings\.position_ids$/];

const parallelPrefix = 'module.';
const loraTargets: readonly LoraTarget[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
const loraName = /^(.*)\.lora_([AB])(?:\.([^.]+))?\.weight$/;

/** Renames every tensor. @throws EmuError CHECKPOINT_CORRUPT if two come to bear one name. */
function renamed(
  entries: Iterable<readonly [string, TensorEntry]>,
  rename: (name: string) => string,
  place: FilePlace,
): Map<string, TensorEntry> {
  const result = new Map<string, TensorEntry>();
  for (const [name, entry] of entries) {
    const canonical = rename(name);
    if (result.has(canonical)) {
      throw corrupt(place, `two tensors stand for ${quoted(canonical)}, one of them ${quoted(name)}`, {
        details: { tensor: canonical, spelling: name },
      });
    }
    result.set(canonical, { ...entry, name: canonical });
  }
  return result;
}

/** `module.x` of a parallel wrapper to `x`, when every tensor has it. */
function withoutParallelPrefix(names: readonly string[]): (name: string) => string {
  const isWrapped = names.length > 0 && names.every((name) => name.startsWith(parallelPrefix));
  return isWrapped ? (name) => name.slice(parallelPrefix.length) : (name) => name;
}

function officialName(name: string, hasAdapters: boolean): string {
  const plain = name
    .replace(/^decoder\.lm\.base_model\.model\./, 'decoder.lm.')
    .replace(/\.base_layer\.weight$/, '.weight')
    .replace(/\.lora_([AB])\.weight$/, '.lora_$1.default.weight');
  return hasAdapters ? plain.replace(/^decoder\.lm\./, 'decoder.lm.base_model.model.') : plain;
}

function pairUp(
  base: string,
  halves: { a?: TensorEntry; b?: TensorEntry },
  weight: TensorEntry | undefined,
  alpha: number,
  place: FilePlace,
): LoraPair {
  const { a, b } = halves;
  const shapeText = (entry: TensorEntry | undefined): string =>
    entry ? `[${entry.shape.join(',')}]` : 'missing';
  const rank = a?.shape[0] ?? 0;
  const fits =
    a?.shape.length === 2 &&
    b?.shape.length === 2 &&
    weight?.shape.length === 2 &&
    rank > 0 &&
    b.shape[1] === rank &&
    weight.shape[0] === b.shape[0] &&
    weight.shape[1] === a.shape[1];
  if (!a || !b || !fits) {
    throw corrupt(
      place,
      `the adapter of ${quoted(base)} needs A [rank,in], B [out,rank] and the weight [out,in]; ` +
        `A is ${shapeText(a)}, B is ${shapeText(b)}, the weight is ${shapeText(weight)}`,
      { details: { tensor: base, a: a?.shape, b: b?.shape, weight: weight?.shape } },
    );
  }
  return { a, b, rank, alpha };
}

/** The one configuration that all adapters share. @throws EmuError CHECKPOINT_CORRUPT if they differ in rank. */
function commonLora(adapters: ReadonlyMap<string, LoraPair>, alpha: number, place: FilePlace): LoraConfig {
  const ranks = new Set([...adapters.values()].map(({ rank }) => rank));
  const [rank = 0] = ranks;
  if (ranks.size > 1) {
    throw corrupt(place, `its adapters have different ranks: ${[...ranks].join(', ')}`, {
      details: { ranks: [...ranks] },
    });
  }
  const names = [...adapters.keys()];
  const other = names.find((name) => !loraTargets.some((target) => name.endsWith(`.${target}.weight`)));
  if (other !== undefined) {
    throw corrupt(place, `has an adapter of ${quoted(other)}; ${loraTargets.join(', ')} can have one`, {
      details: { tensor: other },
    });
  }
  const targets = loraTargets.filter((target) => names.some((name) => name.endsWith(`.${target}.weight`)));
  return { rank, alpha, targets };
}

/**
 * Gives the tensors of a multimodal encoder the names of the official checkpoints: `module.` of a parallel wrapper
 * is dropped, `q_proj.base_layer.weight` (peft 0.7 and later) becomes `q_proj.weight`, `lora_A.weight` becomes
 * `lora_A.default.weight`. Names below `decoder.lm.` have `base_model.model.` exactly when there are adapters.
 * @throws EmuError CHECKPOINT_CORRUPT for half or misshapen adapters and for two tensors of one name;
 * INVALID_OPTION if alpha is not a positive number.
 * Source: Emu1/inference.py lines 40-57; peft tags v0.3.0 and v0.7.0.
 */
export function canonicalEncoder(file: TensorFile, options: { loraAlpha?: number } = {}): EncoderTensors {
  const { loraAlpha = defaultLoraAlpha } = options;
  if (!Number.isFinite(loraAlpha) || loraAlpha <= 0) {
    throw new EmuError('INVALID_OPTION', `[weights] loraAlpha must be a number above 0, ${loraAlpha} came`, {
      details: { loraAlpha },
    });
  }
  const place = { reader: 'weights', path: file.path };
  const unwrapped = withoutParallelPrefix([...file.entries.keys()]);
  const hasAdapters = [...file.entries.keys()].some((name) => loraName.test(name));
  const entries = renamed(file.entries, (name) => officialName(unwrapped(name), hasAdapters), place);
  if (!hasAdapters) return { file: { ...file, entries }, adapters: new Map() };
  const halves = new Map<string, { a?: TensorEntry; b?: TensorEntry }>();
  for (const [name, entry] of entries) {
    const match = loraName.exec(name);
    if (!match) continue;
    if (match[3] !== 'default') {
      throw corrupt(place, `has the adapter ${quoted(match[3] ?? '')}; only "default" is read`, {
        details: { tensor: name },
      });
    }
    const base = `${match[1] ?? ''}.weight`;
    halves.set(base, { ...halves.get(base), [match[2] === 'A' ? 'a' : 'b']: entry });
  }
  const adapters = new Map<string, LoraPair>();
  for (const [base, pair] of halves) {
    adapters.set(base, pairUp(base, pair, entries.get(base), loraAlpha, place));
  }
  return { file: { ...file, entries }, adapters, lora: commonLora(adapters, loraAlpha, place) };
}

const vaeAttention =
  /^((?:encoder|decoder)\.mid_block\.attentions\.\d+)\.(to_q|to_k|to_v|to_out\.0|query|key|value|proj_attn)\.(weight|bias)$/;
const vaeSpelling: Readonly<Record<string, string>> = {
  to_q: 'query',
  to_k: 'key',
  to_v: 'value',
  'to_out.0': 'proj_attn',
};

/**
 * Gives the attention tensors of the VAE the names of diffusers 0.15 (query, key, value, proj_attn), whichever of
 * the two spellings the file has, and the shape [C,C] where a file keeps them as 1x1 convolutions [C,C,1,1].
 * @throws EmuError CHECKPOINT_CORRUPT if a file has both spellings of one tensor.
 */
export function canonicalVae(file: TensorFile): TensorFile {
  const place = { reader: 'weights', path: file.path };
  const entries = renamed(
    file.entries,
    (name) =>
      name.replace(vaeAttention, (_, block: string, part: string, kind: string) => {
        return `${block}.${vaeSpelling[part] ?? part}.${kind}`;
      }),
    place,
  );
  for (const [name, entry] of entries) {
    const [rows, columns, ...rest] = entry.shape;
    if (!vaeAttention.test(name) || rest.length !== 2 || rest.some((side) => side !== 1)) continue;
    if (rows === undefined || columns === undefined) continue;
    const { strides, ...plain } = entry;
    const flat = { ...plain, shape: [rows, columns] };
    entries.set(name, strides ? { ...flat, strides: strides.slice(0, 2) } : flat);
  }
  return { ...file, entries };
}
