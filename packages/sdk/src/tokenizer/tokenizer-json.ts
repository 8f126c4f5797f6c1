import { EmuError } from '@emu/program';
import { z } from 'zod';

import type { AddedToken, BpeVocabulary, MergeTable } from './vocabulary.js';
import { completeVocabulary, maxMerges, maxPieces, spaceSymbol } from './vocabulary.js';

const place = 'tokenizer.json';

/** LLaMA's is 1.8 MB, the largest published ones about 20 MB. */
const maxBytes = 128 * 2 ** 20;

// The large parts (vocab, merges) are checked by hand below: a schema would visit and copy every entry.
const schema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int().min(0), content: z.string().min(1) })).max(10_000),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: z.looseObject({
    type: z.literal('BPE').optional(),
    byte_fallback: z.literal(true),
    vocab: z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null),
    merges: z.custom<readonly unknown[]>((value) => Array.isArray(value)),
  }),
});

type TokenizerJson = z.output<typeof schema>;

function corrupt(
  message: string,
  options: { details?: Record<string, unknown>; cause?: unknown } = {},
): EmuError {
  return new EmuError('CHECKPOINT_CORRUPT', `[${place}] ${message}`, options);
}

function parse(bytes: Uint8Array): TokenizerJson {
  if (bytes.length > maxBytes) {
    throw corrupt(`${bytes.length} bytes, at most ${maxBytes} are read`, {
      details: { bytes: bytes.length },
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw corrupt(`not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const key = issue?.path.join('.') || '(whole file)';
    throw corrupt(`${key}: ${issue?.message ?? 'invalid'}`, { details: { key } });
  }
  return parsed.data;
}

/**
 * Refuses rules other than LLaMA's "a space before the text, spaces become U+2581", in the two ways files spell
 * them: as normalizer (Prepend, Replace) or as pre-tokenizer Metaspace. Others would give wrong ids silently.
 */
function checkRules({ normalizer, pre_tokenizer }: TokenizerJson): void {
  const text = JSON.stringify([normalizer, pre_tokenizer]).slice(0, 2000);
  const isNormalizer =
    text ===
    JSON.stringify([
      {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: spaceSymbol },
          { type: 'Replace', pattern: { String: ' ' }, content: spaceSymbol },
        ],
      },
      null,
    ]);
  const isMetaspace =
    (normalizer ?? null) === null &&
    typeof pre_tokenizer === 'object' &&
    pre_tokenizer !== null &&
    'type' in pre_tokenizer &&
    pre_tokenizer.type === 'Metaspace' &&
    (!('split' in pre_tokenizer) || pre_tokenizer.split === false);
  if (!isNormalizer && !isMetaspace) {
    throw new EmuError('CAPABILITY_MISSING', `[${place}] not a LLaMA tokenizer: its rules are ${text}`, {
      hint: "Use the tokenizer.json of LLaMA that Emu's checkpoints come with.",
      details: { normalizer, pre_tokenizer },
    });
  }
}

function piecesOf({ model, added_tokens: added }: TokenizerJson): string[] {
  const entries = Object.entries(model.vocab);
  if (entries.length > maxPieces) throw corrupt(`${entries.length} pieces, at most ${maxPieces} are read`);
  const pieces: string[] = [];
  for (const [piece, id] of entries) {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= entries.length + added.length) {
      throw corrupt(`the id of ${JSON.stringify(piece)} is ${JSON.stringify(id)}`, {
        details: { piece, id },
      });
    }
    if (pieces[id] !== undefined) {
      throw corrupt(`id ${id} belongs to ${JSON.stringify(pieces[id])} and ${JSON.stringify(piece)}`, {
        details: { id },
      });
    }
    pieces[id] = piece;
  }
  for (let id = 0; id < entries.length; id++) {
    if (pieces[id] === undefined)
      throw corrupt(`id ${id} of ${entries.length} has no piece`, { details: { id } });
  }
  return pieces;
}

function mergesOf(merges: readonly unknown[], idOf: ReadonlyMap<string, number>): MergeTable {
  if (merges.length > maxMerges) throw corrupt(`${merges.length} merges, at most ${maxMerges} are read`);
  const index = new Map<number, number>();
  const rank = new Int32Array(merges.length);
  const merged = new Int32Array(merges.length);
  merges.forEach((merge, i) => {
    // "left right" in older files, ["left", "right"] in newer ones
    const sides: readonly unknown[] = Array.isArray(merge)
      ? merge
      : typeof merge === 'string'
        ? merge.split(' ')
        : [];
    const [left, right] = sides;
    const isPair = sides.length === 2 && typeof left === 'string' && typeof right === 'string';
    const leftId = isPair ? idOf.get(left) : undefined;
    const rightId = isPair ? idOf.get(right) : undefined;
    const mergedId = isPair ? idOf.get(left + right) : undefined;
    if (leftId === undefined || rightId === undefined || mergedId === undefined) {
      throw corrupt(`merge ${i} ${JSON.stringify(merge).slice(0, 80)} does not join two pieces to a third`, {
        details: { merge: i },
      });
    }
    const key = leftId * idOf.size + rightId;
    if (!index.has(key)) index.set(key, i);
    rank[i] = i;
    merged[i] = mergedId;
  });
  return { index, rank, merged };
}

/** Added tokens beyond the vocabulary must continue its ids; those inside it must agree with it. */
function addedTokensOf(json: TokenizerJson, pieces: readonly string[]): AddedToken[] {
  const added = json.added_tokens.filter(({ id }) => id >= pieces.length).sort((a, b) => a.id - b.id);
  for (const { id, content } of json.added_tokens) {
    if (id < pieces.length && pieces[id] !== content) {
      throw corrupt(
        `added token ${JSON.stringify(content)} has id ${id}, which is ${JSON.stringify(pieces[id])}`,
        {
          details: { id, content },
        },
      );
    }
  }
  added.forEach(({ id, content }, i) => {
    if (id !== pieces.length + i) {
      throw corrupt(`added token ${JSON.stringify(content)} has id ${id}, due was ${pieces.length + i}`, {
        details: { id, content },
      });
    }
  });
  return added.map(({ id, content }) => ({ id, content }));
}

/**
 * Reads the tokenizer.json of a LLaMA tokenizer (Hugging Face tokenizers, BPE with byte fallback).
 * @throws EmuError CHECKPOINT_CORRUPT for a broken file, CAPABILITY_MISSING for rules other than LLaMA's.
 */
export function readTokenizerJson(bytes: Uint8Array): BpeVocabulary {
  const json = parse(bytes);
  checkRules(json);
  const pieces = piecesOf(json);
  const idOf = new Map(pieces.map((piece, id) => [piece, id]));
  const inVocabulary = new Set(json.added_tokens.map(({ id }) => id));
  return completeVocabulary({
    place,
    pieces,
    isNormal: (id) => !inVocabulary.has(id),
    merges: mergesOf(json.model.merges, idOf),
    addedTokens: addedTokensOf(json, pieces),
  });
}
