import { EmuError } from '@emu/program';

/** Sentencepiece's visible space (U+2581); pieces hold it in place of ' '. */
export const spaceSymbol = '\u2581';

/** Upper bound of a vocabulary we accept; LLaMA's has 32000 pieces, the largest published ones about 260000. */
export const maxPieces = 1_000_000;
/** Upper bound of merges: a few splits for every piece. */
export const maxMerges = 4_000_000;

/** A token that is matched as a whole and never made by merging. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
}

/** Pairs of ids that may be joined, in the order of preference. */
export interface MergeTable {
  /** left id * vocabulary size + right id -> index into `rank` and `merged`. */
  readonly index: ReadonlyMap<number, number>;
  /** Lower is joined first; equal ranks are joined from the left. */
  readonly rank: Int32Array;
  readonly merged: Int32Array;
}

/** A byte-pair vocabulary with byte fallback, whichever file it came from. */
export interface BpeVocabulary {
  /** Text of every id; bytes as `<0x0A>`, spaces as U+2581. */
  readonly pieces: readonly string[];
  /** Id of every single character that is a piece. */
  readonly characterIds: ReadonlyMap<string, number>;
  readonly merges: MergeTable;
  /** Ids of the 256 byte pieces. */
  readonly byteIds: Int32Array;
  /** The byte an id stands for, or -1. */
  readonly byteOfId: Int16Array;
  readonly unknownId: number;
  readonly bosId: number;
  readonly eosId: number;
  /** Further whole tokens the file names, such as [IMG] when it was saved after they were added. */
  readonly addedTokens: readonly AddedToken[];
}

/** What a reader found; `completeVocabulary` checks it and derives the rest. */
export interface VocabularyParts {
  /** Where it came from, for errors. */
  readonly place: string;
  readonly pieces: readonly string[];
  /** Ids that take part in merging. */
  readonly isNormal: (id: number) => boolean;
  readonly merges: MergeTable;
  readonly addedTokens: readonly AddedToken[];
}

const bytePattern = /^<0x([0-9A-F]{2})>$/;

/**
 * Derives the tables of bytes, characters and the three control tokens.
 * @throws EmuError CHECKPOINT_CORRUPT if <unk>, <s>, </s> or one of the 256 byte pieces is missing.
 */
export function completeVocabulary(parts: VocabularyParts): BpeVocabulary {
  const { pieces, place } = parts;
  const byteIds = new Int32Array(256).fill(-1);
  const byteOfId = new Int16Array(pieces.length).fill(-1);
  const characterIds = new Map<string, number>();
  pieces.forEach((piece, id) => {
    const byte = bytePattern.exec(piece)?.[1];
    if (byte !== undefined) {
      byteIds[parseInt(byte, 16)] = id;
      byteOfId[id] = parseInt(byte, 16);
    } else if (parts.isNormal(id) && isOneCharacter(piece)) {
      characterIds.set(piece, id);
    }
  });
  const missingByte = byteIds.indexOf(-1);
  if (missingByte >= 0) {
    throw new EmuError('CHECKPOINT_CORRUPT', `[${place}] the piece of byte ${missingByte} is missing`, {
      hint: 'Emu needs a LLaMA tokenizer, which falls back to bytes.',
      details: { byte: missingByte },
    });
  }
  const controlId = (content: string): number => {
    const id = pieces.indexOf(content);
    if (id >= 0) return id;
    throw new EmuError('CHECKPOINT_CORRUPT', `[${place}] the piece ${content} is missing`, {
      details: { piece: content },
    });
  };
  return {
    pieces,
    characterIds,
    merges: parts.merges,
    byteIds,
    byteOfId,
    unknownId: controlId('<unk>'),
    bosId: controlId('<s>'),
    eosId: controlId('</s>'),
    addedTokens: parts.addedTokens,
  };
}

/** True for a string of one code point. */
export function isOneCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && (text.codePointAt(0) ?? 0) > 0xffff);
}
