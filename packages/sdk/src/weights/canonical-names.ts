import { EmuError } from '@emu/program';

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

/** The tensors of the multimodal encoder under the official names, adapters apart. */
export interface EncoderTensors {
  readonly file: TensorFile;
  /** Adapters by the official name of the weight they change; empty for the pretrained model. */
  readonly lora: ReadonlyMap<string, LoraPair>;
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
const peftPrefix = 'decoder.lm.base_model.model.';
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

function officialName(name: string): string {
  const plain = name.startsWith(peftPrefix) ? `decoder.lm.${name.slice(peftPrefix.length)}` : name;
  return plain.replace(/\.base_layer\.weight$/, '.weight');
}

function pairUp(
  base: string,
  halves: { a?: TensorEntry; b?: TensorEntry },
  weight: TensorEntry | undefined,
  alpha: number,
  place: FilePlace,
): LoraPair {
  const { a, b } = halves;
  const shapeText = (entry: TensorEntry | undefined): string => (entry ? `[${entry.shape.join(',')}]` : 'missing');
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

/**
 * Gives the tensors of a multimodal encoder their official names: without `module.` of a parallel wrapper, without
 * `base_model.model.` of peft, with `q_proj.weight` for `q_proj.base_layer.weight` (peft 0.7 and later). Adapters
 * (`lora_A`, `lora_B`) are taken out and paired by the weight they change.
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
  const withoutPrefix = withoutParallelPrefix([...file.entries.keys()]);
  const plain = renamed(file.entries, withoutPrefix, place);
  const isAdapter = (name: string): boolean => loraName.test(name);
  const weights = renamed([...plain].filter(([name]) => !isAdapter(name)), officialName, place);
  const halves = new Map<string, { a?: TensorEntry; b?: TensorEntry }>();
  for (const [name, entry] of plain) {
    const match = loraName.exec(name);
    if (!match) continue;
    const base = `${officialName(match[1] ?? '')}.weight`;
    const side = match[2] === 'A' ? 'a' : 'b';
    const known = halves.get(base) ?? {};
    if (known[side]) throw corrupt(place, `${quoted(base)} has more than one adapter`, { details: { tensor: base } });
    halves.set(base, { ...known, [side]: entry });
  }
  const lora = new Map<string, LoraPair>();
  for (const [base, pair] of halves) {
    lora.set(base, pairUp(base, pair, weights.get(base), loraAlpha, place));
  }
  return { file: { ...file, entries: weights }, lora };
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
