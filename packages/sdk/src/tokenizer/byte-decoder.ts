/*
 * UTF-8 decoding as sentencepiece does it, where the bytes of byte pieces meet: one U+FFFD for every byte that
 * belongs to no character. (TextDecoder replaces a whole broken prefix by one.)
 */

const replacement = '\ufffd';

/** Bytes a character with this first byte has; 1 for a byte that cannot begin a longer one. */
function lengthFromFirst(byte: number): number {
  if ((byte & 0xe0) === 0xc0) return 2;
  if ((byte & 0xf0) === 0xe0) return 3;
  if ((byte & 0xf8) === 0xf0) return 4;
  return 1;
}

function isTrail(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

const smallest = [0, 0, 0x80, 0x800, 0x10000] as const;

/** Collects bytes and gives out characters as soon as they are certain. */
export class ByteDecoder {
  #pending: number[] = [];

  /** Adds a byte; returns the characters that are certain now. */
  push(byte: number): string {
    this.#pending.push(byte);
    return this.#take(false);
  }

  /** No more bytes follow here: what is left, broken bytes as U+FFFD. */
  flush(): string {
    return this.#pending.length === 0 ? '' : this.#take(true);
  }

  #take(isEnd: boolean): string {
    let text = '';
    while (this.#pending.length > 0) {
      const [first = 0, ...trail] = this.#pending;
      const length = lengthFromFirst(first);
      const trailing = trail.slice(0, length - 1);
      if (!isEnd && trailing.length < length - 1 && trailing.every(isTrail)) break; // may become a character
      const code = trailing.reduce((bits, byte) => bits * 64 + (byte & 0x3f), first & (0xff >> (length + 1)));
      const isCharacter =
        length === 1
          ? first < 0x80
          : trailing.length === length - 1 &&
            trailing.every(isTrail) &&
            code >= (smallest[length] ?? 0) &&
            code <= 0x10ffff &&
            (code < 0xd800 || code > 0xdfff);
      text += isCharacter ? String.fromCodePoint(length === 1 ? first : code) : replacement;
      this.#pending.splice(0, isCharacter ? length : 1);
    }
    return text;
  }
}
