import { EmuError } from '@emu/program';

import { BytePairEncoder } from './byte-pair-encoder.js';
import { stripEnd, stripStart } from './python-whitespace.js';
import { readSentencepieceModel } from './sentencepiece-model.js';
import type { SpecialTokenName, SpecialTokens, SpecialTokenTable } from './special-tokens.js';
import { specialTokenTable } from './special-tokens.js';
import { TextStream } from './text-stream.js';
import { readTokenizerJson } from './tokenizer-json.js';
import type { BpeVocabulary } from './vocabulary.js';
import { spaceSymbol } from './vocabulary.js';

export interface TokenizerOptions {
  /** Adds [USER] and [ASSISTANT], as the instruction-tuned model has them. Default false. */
  readonly instruct?: boolean;
  /**
   * White space beside special tokens. `strip` (default): removed, and every stretch of text begins with
   * sentencepiece's space, as transformers did in mid-2023, when the checkpoints were made. `keep`: kept, and only
   * text at the very start gets that space, as transformers does now.
   */
  readonly whitespace?: 'strip' | 'keep';
  /** Longest text in UTF-16 units, default 4 Mi. */
  readonly maxCharacters?: number;
}

/** A part of a prompt: text, or a special token by name, `count` times. */
export type PromptPart =
  | { readonly text: string; readonly allowSpecialTokens?: boolean }
  | { readonly special: SpecialTokenName; readonly count?: number };

/** The bytes of one or both files; tokenizer.json is preferred. */
export interface TokenizerFiles {
  readonly tokenizerJson?: Uint8Array;
  readonly tokenizerModel?: Uint8Array;
}

export interface PaddedBatch {
  /** [B][T] ids, short rows filled with [PAD]. */
  readonly ids: number[][];
  /** [B][T] 1 where a token is, 0 where padding is. */
  readonly mask: number[][];
}

const defaultMaxCharacters = 4 * 2 ** 20;
const whitespaceRules: readonly string[] = ['strip', 'keep'];
/** Bounds `count` of a special part; far beyond any context. */
const maxSpecialCount = 1_000_000;

/** A stretch of text or one special id. */
type Segment = string | number;

/**
 * LLaMA's tokenizer with Emu's added tokens. Ids equal those of the authors' setup (transformers 4.29, slow
 * tokenizer), and so does `decode`. Text is text: "[IMG]" typed by a user is four ordinary tokens, unless
 * `allowSpecialTokens` says that the text is a template.
 */
export class EmuTokenizer {
  readonly specialTokens: SpecialTokens;
  /** All ids, added tokens included: 32004 for Emu, 32006 for the instruction-tuned model. */
  readonly vocabularySize: number;

  readonly #vocabulary: BpeVocabulary;
  readonly #special: SpecialTokenTable;
  readonly #specialIds: ReadonlySet<number>;
  readonly #specialPattern: RegExp;
  readonly #encoder: BytePairEncoder;
  readonly #whitespace: 'strip' | 'keep';
  readonly #maxCharacters: number;

  private constructor(vocabulary: BpeVocabulary, options: TokenizerOptions) {
    const { whitespace = 'strip', instruct = false, maxCharacters = defaultMaxCharacters } = options;
    if (!whitespaceRules.includes(whitespace)) {
      throw new EmuError(
        'INVALID_OPTION',
        `[tokenizer] whitespace must be strip or keep, got ${whitespace}`,
        {
          details: { whitespace },
        },
      );
    }
    if (!Number.isInteger(maxCharacters) || maxCharacters < 1 || maxCharacters > 2 * defaultMaxCharacters) {
      throw new EmuError(
        'INVALID_OPTION',
        `[tokenizer] maxCharacters must be an integer in 1..${2 * defaultMaxCharacters}, got ${maxCharacters}`,
        { details: { maxCharacters } },
      );
    }
    this.#vocabulary = vocabulary;
    this.#special = specialTokenTable(vocabulary, instruct);
    this.specialTokens = this.#special.ids;
    this.#specialIds = new Set(this.#special.idOfText.values());
    this.vocabularySize = vocabulary.pieces.length + this.#special.added.length;
    // Longest first, so that a token that begins another does not hide it.
    const texts = [...this.#special.idOfText.keys()].sort((a, b) => b.length - a.length);
    this.#specialPattern = new RegExp(texts.map(escapePattern).join('|'), 'g');
    this.#encoder = new BytePairEncoder(vocabulary);
    this.#whitespace = whitespace;
    this.#maxCharacters = maxCharacters;
  }

  /**
   * Makes a tokenizer from the bytes of tokenizer.json or tokenizer.model.
   * @throws EmuError MODEL_NOT_FOUND if neither is given, CHECKPOINT_CORRUPT for a broken file,
   * CAPABILITY_MISSING for a tokenizer of another kind, INVALID_OPTION.
   */
  static fromBytes(files: TokenizerFiles, options: TokenizerOptions = {}): Promise<EmuTokenizer> {
    return Promise.resolve().then(() => new EmuTokenizer(readVocabulary(files), options));
  }

  /**
   * Encodes one text. addBos (default true) puts <s> first; allowSpecialTokens (default false) lets special
   * tokens written in the text be special, for templates.
   * @throws EmuError INVALID_PROMPT for no string or a text over the limit.
   */
  encode(text: string, options: { addBos?: boolean; allowSpecialTokens?: boolean } = {}): number[] {
    const { addBos = true, allowSpecialTokens = false } = options;
    return this.encodeSegments([{ text, allowSpecialTokens }], { addBos });
  }

  /**
   * Encodes a prompt of parts. Neighbouring texts are one text; special tokens come only from `special` parts and
   * from texts that allow them.
   * @throws EmuError INVALID_PROMPT for a part that is neither, a name the tokenizer lacks, or too much text.
   */
  encodeSegments(parts: readonly PromptPart[], options: { addBos?: boolean } = {}): number[] {
    const ids = (options.addBos ?? true) ? [this.specialTokens.bos] : [];
    const segments = this.#segmentsOf(parts);
    segments.forEach((segment, i) => {
      if (typeof segment === 'number') ids.push(segment);
      else this.#encodeText(segment, i > 0, i < segments.length - 1, ids);
    });
    return ids;
  }

  /**
   * Encodes texts and pads them with [PAD] to the longest, on the left unless asked otherwise.
   * Emu pads on the left to generate text and on the right to generate pictures.
   */
  encodeBatch(
    texts: readonly string[],
    options: { side?: 'left' | 'right'; addBos?: boolean; allowSpecialTokens?: boolean } = {},
  ): PaddedBatch {
    const rows = texts.map((text) => this.encode(text, options));
    const length = rows.reduce((longest, row) => Math.max(longest, row.length), 0);
    const pad = (row: readonly number[], filler: number): number[] => {
      const padding = new Array<number>(length - row.length).fill(filler);
      return options.side === 'right' ? [...row, ...padding] : [...padding, ...row];
    };
    return {
      ids: rows.map((row) => pad(row, this.specialTokens.pad)),
      mask: rows.map((row) => pad(new Array<number>(row.length).fill(1), 0)),
    };
  }

  /**
   * The text of ids. With skipSpecialTokens (default true) special tokens leave no trace; without, they are
   * written out with the spaces transformers 4.29 puts around them.
   * @throws EmuError INVALID_PROMPT for an id outside the vocabulary.
   */
  decode(ids: readonly number[], options: { skipSpecialTokens?: boolean } = {}): string {
    for (const id of ids) this.#checkId(id);
    if (options.skipSpecialTokens ?? true) return this.#decodeText(ids);
    const firstAdded = this.#vocabulary.pieces.length;
    const parts: string[] = [];
    let stretch: number[] = [];
    for (const id of [...ids, undefined]) {
      if (id !== undefined && id < firstAdded) {
        stretch.push(id);
        continue;
      }
      if (stretch.length > 0) parts.push(this.#decodeWithControls(stretch));
      stretch = [];
      if (id !== undefined) parts.push(this.tokenText(id));
    }
    return parts.join(' ');
  }

  /** A decoder for ids that come one by one; see TextStream. */
  stream(): TextStream {
    return new TextStream(this.#vocabulary, (id) => {
      this.#checkId(id);
      return this.#specialIds.has(id);
    });
  }

  /** The text of one id as the vocabulary has it: spaces as ' ', a byte as `<0x0A>`, special tokens by name. */
  tokenText(id: number): string {
    this.#checkId(id);
    const { pieces } = this.#vocabulary;
    const piece = pieces[id] ?? this.#special.added[id - pieces.length]?.content ?? '';
    return piece.replaceAll(spaceSymbol, ' ');
  }

  /** True for the ids `decode` leaves out. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  #segmentsOf(parts: readonly PromptPart[]): Segment[] {
    const segments: Segment[] = [];
    let characters = 0;
    for (const part of parts) {
      checkPart(part);
      if ('special' in part) {
        const id = this.#idOfName(part.special);
        for (let i = checkedCount(part.count); i > 0; i--) segments.push(id);
        continue;
      }
      characters += part.text.length;
      if (characters > this.#maxCharacters) {
        throw new EmuError(
          'INVALID_PROMPT',
          `[tokenizer] the text has ${characters} characters or more, at most ${this.#maxCharacters} are accepted`,
          {
            hint: 'Shorten the text or raise maxCharacters.',
            details: { characters, maximum: this.#maxCharacters },
          },
        );
      }
      for (const segment of part.allowSpecialTokens ? this.#splitSpecial(part.text) : [part.text]) {
        const last = segments[segments.length - 1];
        if (typeof segment === 'string' && typeof last === 'string')
          segments[segments.length - 1] = last + segment;
        else if (segment !== '') segments.push(segment);
      }
    }
    return segments;
  }

  #idOfName(name: SpecialTokenName): number {
    const id = Object.hasOwn(this.specialTokens, name) ? this.specialTokens[name] : undefined;
    if (id === undefined) {
      throw new EmuError(
        'INVALID_PROMPT',
        `[tokenizer] special token ${JSON.stringify(name)} is none of ${Object.keys(this.specialTokens).join(', ')}`,
        { hint: 'user and assistant need a tokenizer opened with instruct: true.', details: { name } },
      );
    }
    return id;
  }

  #splitSpecial(text: string): Segment[] {
    const segments: Segment[] = [];
    let end = 0;
    for (const match of text.matchAll(this.#specialPattern)) {
      const id = this.#special.idOfText.get(match[0]);
      if (id === undefined) continue;
      segments.push(text.slice(end, match.index), id);
      end = match.index + match[0].length;
    }
    segments.push(text.slice(end));
    return segments;
  }

  #encodeText(text: string, isAfterSpecial: boolean, isBeforeSpecial: boolean, ids: number[]): void {
    let stretch = text;
    if (this.#whitespace === 'strip') {
      if (isAfterSpecial) stretch = stripStart(stretch);
      if (isBeforeSpecial) stretch = stripEnd(stretch);
    }
    if (stretch === '') return;
    const hasPrefix = this.#whitespace === 'strip' || !isAfterSpecial;
    this.#encoder.encode((hasPrefix ? spaceSymbol : '') + stretch.replaceAll(' ', spaceSymbol), ids);
  }

  #decodeText(ids: readonly number[]): string {
    const stream = this.stream();
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  /** LlamaTokenizer.convert_tokens_to_string of 4.29: a space before a control token that follows text. */
  #decodeWithControls(ids: readonly number[]): string {
    let text = '';
    let stretch: number[] = [];
    let isAfterControl = false;
    ids.forEach((id, i) => {
      if (!this.#specialIds.has(id)) {
        stretch.push(id);
        isAfterControl = false;
        return;
      }
      if (!isAfterControl && i > 0) text += ' ';
      text += this.#decodeText(stretch) + this.tokenText(id);
      stretch = [];
      isAfterControl = true;
    });
    return text + this.#decodeText(stretch);
  }

  #checkId(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabularySize) {
      throw new EmuError(
        'INVALID_PROMPT',
        `[tokenizer] id ${id} is outside the vocabulary 0..${this.vocabularySize - 1}`,
        { details: { id, vocabularySize: this.vocabularySize } },
      );
    }
  }
}

function readVocabulary({ tokenizerJson, tokenizerModel }: TokenizerFiles): BpeVocabulary {
  if (tokenizerJson) return readTokenizerJson(tokenizerJson);
  if (tokenizerModel) return readSentencepieceModel(tokenizerModel);
  throw new EmuError('MODEL_NOT_FOUND', '[tokenizer] neither tokenizer.json nor tokenizer.model was given');
}

/** For callers without types: a part must be an object with a special token or with text. */
function checkPart(part: unknown): void {
  const isObject = typeof part === 'object' && part !== null;
  if (isObject && ('special' in part || ('text' in part && typeof part.text === 'string'))) return;
  const found = isObject && 'text' in part ? `text of type ${typeof part.text}` : JSON.stringify(part);
  throw new EmuError(
    'INVALID_PROMPT',
    `[tokenizer] a part must be { text: string } or { special }, got ${found}`,
    {
      details: { found },
    },
  );
}

function checkedCount(count = 1): number {
  if (Number.isInteger(count) && count >= 0 && count <= maxSpecialCount) return count;
  throw new EmuError(
    'INVALID_PROMPT',
    `[tokenizer] count of a special token must be an integer in 0..${maxSpecialCount}, got ${count}`,
    { details: { count } },
  );
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
