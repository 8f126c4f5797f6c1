import { ByteDecoder } from './byte-decoder.js';
import type { BpeVocabulary } from './vocabulary.js';
import { spaceSymbol } from './vocabulary.js';

/**
 * Turns ids into text one by one. What `push` and `end` return, put together, is `decode` of all ids with special
 * tokens skipped; every part is whole characters: bytes are held back until their character is complete.
 */
export class TextStream {
  readonly #vocabulary: BpeVocabulary;
  readonly #isSpecial: (id: number) => boolean;
  readonly #bytes = new ByteDecoder();
  #isAtStart = true; // the space sentencepiece put before the text is still to come
  #hasText = false;

  constructor(vocabulary: BpeVocabulary, isSpecial: (id: number) => boolean) {
    this.#vocabulary = vocabulary;
    this.#isSpecial = isSpecial;
  }

  /** The text that is certain with this id; often '' within a character or for a special token. */
  push(id: number): string {
    if (this.#isSpecial(id)) return '';
    const byte = this.#vocabulary.byteOfId[id] ?? -1;
    if (byte >= 0) return this.#remember(this.#bytes.push(byte));
    const before = this.#bytes.flush();
    this.#remember(before);
    if (this.#hasText) this.#isAtStart = false;
    let piece = this.#vocabulary.pieces[id] ?? '';
    if (this.#isAtStart && piece.startsWith(spaceSymbol)) {
      piece = piece.slice(1);
      this.#isAtStart = false;
    }
    return before + this.#remember(piece.replaceAll(spaceSymbol, ' '));
  }

  /** The rest; broken bytes as U+FFFD. The stream is as new afterwards. */
  end(): string {
    const rest = this.#bytes.flush();
    this.#isAtStart = true;
    this.#hasText = false;
    return rest;
  }

  #remember(text: string): string {
    if (text !== '') this.#hasText = true;
    return text;
  }
}
