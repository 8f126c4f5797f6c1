// Trains a small LLaMA-style tokenizer: byte-pair merges within words, spaces as U+2581, bytes for everything else.
//   node tools/train-tokenizer.mjs --pieces 1500 --to models/tokenizer/tokenizer.json FILE...
// The same text gives the same file: pairs are taken by count, and among equal counts in the order of their text.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

const space = '\u2581';
const controls = ['<unk>', '<s>', '</s>'];
/** Joins the two sides of a pair in a key; no piece holds it. */
const separator = '\0';

/**
 * Words with their counts. A word is a run of letters, a single digit, or a run of other characters, with the space
 * before it: pieces never cross a space, and numbers are spelled digit by digit as in LLaMA's vocabulary.
 */
function countWords(text) {
  const counts = new Map();
  const pattern = new RegExp(`${space}?(?:\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}${space}]+)`, 'gu');
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const spaced = space + line.trim().replace(/\s+/g, space);
    for (const [word] of spaced.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** Characters that are common enough to be pieces; rarer ones are spelled in bytes. */
function characterPieces(words, minimum) {
  const counts = new Map();
  for (const [word, count] of words) {
    for (const character of word) counts.set(character, (counts.get(character) ?? 0) + count);
  }
  for (let code = 0x20; code < 0x7f; code++) {
    const character = code === 0x20 ? space : String.fromCharCode(code);
    counts.set(character, Math.max(minimum, counts.get(character) ?? 0));
  }
  return [...counts]
    .filter(([, count]) => count >= minimum)
    .map(([character]) => character)
    .sort();
}

function pairCounts(words) {
  const counts = new Map();
  for (const { pieces, count } of words) {
    for (let i = 1; i < pieces.length; i++) {
      const key = pieces[i - 1] + separator + pieces[i];
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
  }
  return counts;
}

function bestPair(counts) {
  let best;
  for (const [key, count] of counts) {
    if (best === undefined || count > best.count || (count === best.count && key < best.key))
      best = { key, count };
  }
  return best;
}

function joined(pieces, left, right) {
  const result = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      result.push(left + right);
      i += 1;
    } else {
      result.push(pieces[i]);
    }
  }
  return result;
}

/**
 * Byte-pair merges (Sennrich, Haddow and Birch 2016) until there are `pieceCount` pieces or no pair comes twice.
 * Returns the content of a tokenizer.json: 3 control tokens, 256 bytes, merged pieces in their order, characters.
 */
export function trainTokenizer(text, { pieceCount, minimumCount = 2 }) {
  const words = countWords(text);
  const characters = characterPieces(words, minimumCount);
  const known = new Set(characters);
  const fixed = controls.length + 256 + characters.length;
  if (pieceCount < fixed) throw new Error(`--pieces must be at least ${fixed}, ${pieceCount} came`);
  let spelled = [...words].map(([word, count]) => ({ pieces: [...word], count }));
  // A character that is no piece is spelled in bytes: nothing is joined across it.
  spelled = spelled.flatMap(({ pieces, count }) =>
    splitAtUnknown(pieces, known).map((part) => ({ pieces: part, count })),
  );
  const merges = [];
  const mergedPieces = [];
  while (fixed + mergedPieces.length < pieceCount) {
    const best = bestPair(pairCounts(spelled));
    if (best === undefined || best.count < minimumCount) break;
    const [left, right] = best.key.split(separator);
    merges.push(`${left} ${right}`);
    if (!known.has(left + right)) mergedPieces.push(left + right);
    known.add(left + right);
    for (const word of spelled) word.pieces = joined(word.pieces, left, right);
  }
  return tokenizerJson([...controls, ...bytePieces(), ...mergedPieces, ...characters], merges);
}

function splitAtUnknown(pieces, known) {
  const parts = [[]];
  for (const piece of pieces) {
    if (known.has(piece)) parts.at(-1).push(piece);
    else parts.push([]);
  }
  return parts.filter((part) => part.length > 1);
}

function bytePieces() {
  return Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
}

function tokenizerJson(pieces, merges) {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: controls.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: space },
        { type: 'Replace', pattern: { String: ' ' }, content: space },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { Sequence: { id: 'B', type_id: 0 } },
      ],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: space }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
    },
  };
}

function main() {
  const { values, positionals } = parseArgs({
    options: { pieces: { type: 'string', default: '1500' }, to: { type: 'string' } },
    allowPositionals: true,
  });
  if (values.to === undefined || positionals.length === 0) {
    console.error('node tools/train-tokenizer.mjs --pieces 1500 --to FILE.json TEXT...');
    return 2;
  }
  const text = [...positionals]
    .sort()
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const json = trainTokenizer(text, { pieceCount: Number(values.pieces) });
  writeFileSync(values.to, `${JSON.stringify(json)}\n`);
  console.log(`${values.to}: ${Object.keys(json.model.vocab).length} pieces of ${text.length} characters`);
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main();
