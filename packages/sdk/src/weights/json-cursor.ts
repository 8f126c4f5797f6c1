import { quoted } from './checkpoint-error.js';

/** Deepest nesting followed; the limit of the reference implementation's JSON reader. */
const depthLimit = 128;

const code = {
  quote: 0x22,
  comma: 0x2c,
  minus: 0x2d,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;

/** Most keys of one object: a Set of JavaScript ends in a RangeError somewhat above 16 million. */
const keyLimit = 1 << 19;

const loneSurrogate = /\p{Surrogate}/u;

/** A JSON text breaks a rule; the reader of the file turns it into its own error. */
export class JsonProblem extends Error {
  constructor(
    readonly problem: string,
    /** Where in the text, in UTF-16 units; absent for problems of a whole value. */
    readonly position?: number,
  ) {
    super(position === undefined ? problem : `${problem} at character ${position}`);
    this.name = 'JsonProblem';
  }
}

/**
 * Reads a JSON text (RFC 8259) value by value, for the place that knows what must come next. Unlike JSON.parse it
 * refuses duplicate keys and lone surrogates, keeps integers exact or refuses them, and builds nothing that is
 * not asked for. Throws JsonProblem.
 */
export class JsonCursor {
  private position = 0;
  private depth = 0;

  constructor(private readonly text: string) {}

  /** Reads an object; `onValue` must read exactly the value of its key. */
  object(onValue: (key: string) => void): void {
    this.open(code.openBrace, 'an object');
    const keys = new Set<string>();
    if (!this.close(code.closeBrace)) {
      do {
        const start = this.position;
        const key = this.string();
        if (keys.has(key)) throw new JsonProblem(`key ${quoted(key)} stands twice in one object`, start);
        keys.add(key);
        if (keys.size > keyLimit) throw new JsonProblem(`an object has over ${keyLimit} keys`, start);
        this.skipSpace();
        if (this.text.charCodeAt(this.position) !== code.colon) this.fail('":" after a key');
        this.position++;
        onValue(key);
      } while (this.comma());
      if (!this.close(code.closeBrace)) this.fail('"," or "}"');
    }
    this.depth--;
  }

  /** Reads an array; `onItem` must read exactly one value. */
  array(onItem: (index: number) => void): void {
    this.open(code.openBracket, 'an array');
    if (!this.close(code.closeBracket)) {
      let index = 0;
      do onItem(index++);
      while (this.comma());
      if (!this.close(code.closeBracket)) this.fail('"," or "]"');
    }
    this.depth--;
  }

  string(): string {
    this.skipSpace();
    if (this.text.charCodeAt(this.position) !== code.quote) this.fail('a string');
    const start = this.position++;
    let escaped = false;
    for (;;) {
      const c = this.text.charCodeAt(this.position++);
      if (c === code.quote) break;
      if (Number.isNaN(c)) throw new JsonProblem('a string does not end', start);
      if (c < 0x20) throw new JsonProblem('a control character stands unescaped in a string', this.position);
      if (c === code.backslash) {
        escaped = true;
        this.position++;
      }
    }
    const value = escaped
      ? this.unescaped(start, this.position)
      : this.text.slice(start + 1, this.position - 1);
    if (loneSurrogate.test(value)) throw new JsonProblem('a string holds half of a surrogate pair', start);
    return value;
  }

  /** Reads an integer 0 .. 2^53-1 written without fraction or exponent. */
  count(): number {
    this.skipSpace();
    const start = this.position;
    const digits = this.numberText();
    const value = Number(digits);
    if (!/^\d+$/.test(digits) || !Number.isSafeInteger(value)) {
      throw new JsonProblem(`a whole number from 0 to 2^53-1 is needed, ${quoted(digits)} came`, start);
    }
    return value;
  }

  /** Reads past one value of any kind, checking its grammar. */
  skip(): void {
    this.skipSpace();
    const c = this.text.charCodeAt(this.position);
    if (c === code.quote) this.string();
    else if (c === code.openBrace)
      this.object(() => {
        this.skip();
      });
    else if (c === code.openBracket)
      this.array(() => {
        this.skip();
      });
    else if (c === code.minus || (c >= code.zero && c <= code.nine)) this.numberText();
    else if (!['true', 'false', 'null'].some((word) => this.word(word))) this.fail('a value');
  }

  /** Checks that only spaces follow. */
  end(): void {
    this.skipSpace();
    if (this.position < this.text.length) this.fail('the end of the text');
  }

  private word(word: string): boolean {
    if (!this.text.startsWith(word, this.position)) return false;
    this.position += word.length;
    return true;
  }

  private numberText(): string {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = this.position;
    const match = pattern.exec(this.text);
    if (!match) this.fail('a number');
    this.position = pattern.lastIndex;
    return match[0];
  }

  /** The built-in parser decodes one string without a piece of memory for every escape. */
  private unescaped(start: number, end: number): string {
    try {
      return String(JSON.parse(this.text.slice(start, end)));
    } catch {
      throw new JsonProblem('a string holds an escape that does not exist', start);
    }
  }

  private open(brace: number, what: string): void {
    this.skipSpace();
    if (this.text.charCodeAt(this.position) !== brace) this.fail(what);
    if (++this.depth > depthLimit) {
      throw new JsonProblem(`values are nested deeper than ${depthLimit}`, this.position);
    }
    this.position++;
  }

  private close(brace: number): boolean {
    this.skipSpace();
    if (this.text.charCodeAt(this.position) !== brace) return false;
    this.position++;
    return true;
  }

  private comma(): boolean {
    this.skipSpace();
    if (this.text.charCodeAt(this.position) !== code.comma) return false;
    this.position++;
    return true;
  }

  private skipSpace(): void {
    for (;;) {
      const c = this.text.charCodeAt(this.position);
      if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return;
      this.position++;
    }
  }

  private fail(needed: string): never {
    const came = this.text[this.position];
    throw new JsonProblem(
      `${needed} is needed, ${came === undefined ? 'the end' : quoted(came)} came`,
      this.position,
    );
  }
}
