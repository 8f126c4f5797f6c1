import { EmuError } from '@emu/program';

import { floatFromBits, protobufFields } from './protobuf-reader.js';
import type { BpeVocabulary, MergeTable } from './vocabulary.js';
import { completeVocabulary, isOneCharacter, maxMerges, maxPieces } from './vocabulary.js';

const place = 'tokenizer.model';

/** Kinds of pieces in sentencepiece_model.proto. */
const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** No piece of a real model comes near; bounds the work of splitting each piece everywhere. */
const maxPieceLength = 256;

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

interface Settings {
  /** 2 is byte-pair encoding. */
  modelType: number;
  byteFallback: boolean;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
  escapeWhitespaces: boolean;
  spaceIsSuffix: boolean;
  hasCharacterMap: boolean;
}

function corrupt(message: string, details: Readonly<Record<string, unknown>> = {}): EmuError {
  return new EmuError('CHECKPOINT_CORRUPT', `[${place}] ${message}`, { details });
}

function readPiece(message: Uint8Array, id: number): Piece {
  let text = '';
  let score = 0;
  let type: number = pieceType.normal;
  for (const field of protobufFields(message, place)) {
    if (field.number === 1) {
      try {
        text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(field.bytes);
      } catch (cause) {
        throw new EmuError('CHECKPOINT_CORRUPT', `[${place}] piece ${id} is not UTF-8`, {
          cause,
          details: { id },
        });
      }
    } else if (field.number === 2) score = floatFromBits(field.value);
    else if (field.number === 3) type = field.value;
  }
  if (text === '') throw corrupt(`piece ${id} is empty`, { id });
  if (text.length > maxPieceLength) {
    throw corrupt(`piece ${id} has ${text.length} characters, at most ${maxPieceLength} are read`, { id });
  }
  if (Number.isNaN(score)) throw corrupt(`the score of piece ${id} is not a number`, { id });
  return { text, score, type };
}

function readTrainerSpec(message: Uint8Array, settings: Settings): void {
  for (const field of protobufFields(message, place)) {
    if (field.number === 3) settings.modelType = field.value;
    else if (field.number === 24) settings.spaceIsSuffix = field.value !== 0;
    else if (field.number === 35) settings.byteFallback = field.value !== 0;
  }
}

function readNormalizerSpec(message: Uint8Array, settings: Settings): void {
  for (const field of protobufFields(message, place)) {
    if (field.number === 2) settings.hasCharacterMap = field.bytes.length > 0;
    else if (field.number === 3) settings.addDummyPrefix = field.value !== 0;
    else if (field.number === 4) settings.removeExtraWhitespaces = field.value !== 0;
    else if (field.number === 5) settings.escapeWhitespaces = field.value !== 0;
  }
}

/** Refuses models whose rules are not LLaMA's: they would load and give other ids without a word. */
function checkSettings(settings: Settings, pieces: readonly Piece[]): void {
  const strangeType = pieces.findIndex(
    ({ type }) => type === pieceType.userDefined || type === pieceType.unused || type < 1 || type > 6,
  );
  const wrong: readonly (readonly [boolean, string])[] = [
    [settings.modelType !== 2, `model type ${settings.modelType} is not byte-pair encoding (2)`],
    [!settings.byteFallback, 'byte fallback is off'],
    [!settings.addDummyPrefix, 'add_dummy_prefix is off'],
    [settings.removeExtraWhitespaces, 'remove_extra_whitespaces is on'],
    [!settings.escapeWhitespaces, 'escape_whitespaces is off'],
    [settings.spaceIsSuffix, 'treat_whitespace_as_suffix is on'],
    [settings.hasCharacterMap, 'it normalises characters'],
    [strangeType >= 0, `piece ${strangeType} has type ${pieces[strangeType]?.type}`],
  ];
  const reason = wrong.find(([isWrong]) => isWrong)?.[1];
  if (reason !== undefined) {
    throw new EmuError('CAPABILITY_MISSING', `[${place}] not a LLaMA tokenizer: ${reason}`, {
      hint: "Use the tokenizer.model of LLaMA that Emu's checkpoints come with.",
      details: { reason },
    });
  }
}

/**
 * Every way to make a piece from two others. Sentencepiece joins the pair whose result has the best score, so
 * the rank of a merge is the rank of its result, shared by all splits of it.
 */
function mergesOf(pieces: readonly Piece[]): MergeTable {
  const ids = new Map<string, number>();
  pieces.forEach(({ text, type }, id) => {
    if (type === pieceType.normal) ids.set(text, id);
  });
  const scores = [...new Set([...ids.values()].map((id) => pieces[id]?.score ?? 0))].sort((a, b) => b - a);
  const rankOfScore = new Map(scores.map((score, rank) => [score, rank]));
  const index = new Map<number, number>();
  const rank: number[] = [];
  const merged: number[] = [];
  for (const [text, id] of ids) {
    if (isOneCharacter(text)) continue;
    for (let cut = 1; cut < text.length; cut++) {
      const left = ids.get(text.slice(0, cut));
      const right = left === undefined ? undefined : ids.get(text.slice(cut));
      if (left === undefined || right === undefined) continue;
      index.set(left * pieces.length + right, rank.length);
      rank.push(rankOfScore.get(pieces[id]?.score ?? 0) ?? 0);
      merged.push(id);
      if (rank.length > maxMerges) throw corrupt(`more than ${maxMerges} merges`);
    }
  }
  return { index, rank: Int32Array.from(rank), merged: Int32Array.from(merged) };
}

/**
 * Reads a sentencepiece model (`tokenizer.model`, a protobuf) of LLaMA's kind.
 * @throws EmuError CHECKPOINT_CORRUPT for a broken file, CAPABILITY_MISSING for another kind of model.
 * Source: sentencepiece_model.proto and bpe_model.cc of google/sentencepiece.
 */
export function readSentencepieceModel(bytes: Uint8Array): BpeVocabulary {
  const pieces: Piece[] = [];
  const texts = new Set<string>();
  const settings: Settings = {
    modelType: 1,
    byteFallback: false,
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
    spaceIsSuffix: false,
    hasCharacterMap: false,
  };
  for (const field of protobufFields(bytes, place)) {
    if (field.number === 1) {
      if (pieces.length === maxPieces) throw corrupt(`more than ${maxPieces} pieces`);
      const piece = readPiece(field.bytes, pieces.length);
      if (texts.has(piece.text)) {
        throw corrupt(`piece ${pieces.length} ${JSON.stringify(piece.text)} is there twice`, {
          id: pieces.length,
        });
      }
      texts.add(piece.text);
      pieces.push(piece);
    } else if (field.number === 2) readTrainerSpec(field.bytes, settings);
    else if (field.number === 3) readNormalizerSpec(field.bytes, settings);
  }
  if (pieces.length === 0) throw corrupt('no pieces');
  checkSettings(settings, pieces);
  return completeVocabulary({
    place,
    pieces: pieces.map(({ text }) => text),
    isNormal: (id) => pieces[id]?.type === pieceType.normal,
    merges: mergesOf(pieces),
    addedTokens: [],
  });
}
