import { readFileSync } from 'node:fs';

import { EmuError } from '@emu/program';
import { beforeAll, describe, expect, it } from 'vitest';

import { referenceExists, referenceJson, referencePath } from '../testing/reference-data.js';
import { EmuTokenizer } from './emu-tokenizer.js';
import { readTokenizer } from './read-tokenizer-node.js';

interface Vectors {
  readonly special_tokens: Readonly<Record<string, number>>;
  readonly special_tokens_instruct: Readonly<Record<string, number>>;
  readonly vocab_size: number;
  readonly vocab_size_instruct: number;
  readonly strings: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly decoded: string;
    readonly decoded_with_special: string;
    readonly ids_instruct?: readonly number[];
  }[];
  readonly decode_only: readonly {
    readonly ids: readonly number[];
    readonly decoded: string;
    readonly decoded_with_special: string;
  }[];
  readonly padding: readonly {
    readonly texts: readonly string[];
    readonly side: 'left' | 'right';
    readonly input_ids: readonly (readonly number[])[];
    readonly attention_mask: readonly (readonly number[])[];
  }[];
}

const folder = 'checkpoint/llama_config';

/** Both files hold the same vocabulary, so every test runs on both. */
const sources = ['tokenizer.json', 'tokenizer.model'] as const;
type Source = (typeof sources)[number];

function open(
  source: Source,
  options: { instruct?: boolean; whitespace?: 'strip' | 'keep'; maxCharacters?: number } = {},
): Promise<EmuTokenizer> {
  const bytes = readFileSync(referencePath(`${folder}/${source}`));
  return EmuTokenizer.fromBytes(
    source === 'tokenizer.json' ? { tokenizerJson: bytes } : { tokenizerModel: bytes },
    options,
  );
}

describe.skipIf(!referenceExists).each(sources)("the authors' ids from %s", (source) => {
  let tokenizer: EmuTokenizer;
  let instruct: EmuTokenizer;
  let vectors: Vectors;

  beforeAll(async () => {
    tokenizer = await open(source);
    instruct = await open(source, { instruct: true });
    vectors = referenceJson<Vectors>('tokenizer/vectors.json');
  });

  it('gives all special tokens their ids', () => {
    const table: Record<string, number> = {};
    for (const id of Object.values(tokenizer.specialTokens)) table[tokenizer.tokenText(id)] = id;
    expect(table).toEqual(vectors.special_tokens);
    const instructTable: Record<string, number> = {};
    for (const id of Object.values(instruct.specialTokens)) instructTable[instruct.tokenText(id)] = id;
    expect(instructTable).toEqual(vectors.special_tokens_instruct);
    expect(tokenizer.vocabularySize).toBe(vectors.vocab_size);
    expect(instruct.vocabularySize).toBe(vectors.vocab_size_instruct);
  });

  it('encodes and decodes all 400 strings', () => {
    expect(vectors.strings.length).toBe(400);
    for (const { text, ids, ids_instruct, decoded, decoded_with_special } of vectors.strings) {
      const label = JSON.stringify(text);
      expect(tokenizer.encode(text, { allowSpecialTokens: true }), label).toEqual(ids);
      expect(instruct.encode(text, { allowSpecialTokens: true }), label).toEqual(ids_instruct ?? ids);
      expect(tokenizer.decode(ids), label).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: false }), label).toBe(decoded_with_special);
    }
  });

  it('decodes ids no text gives, broken bytes among them', () => {
    for (const { ids, decoded, decoded_with_special } of vectors.decode_only) {
      expect(tokenizer.decode(ids), ids.join(' ')).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: false }), ids.join(' ')).toBe(decoded_with_special);
    }
  });

  it('pads batches on either side', () => {
    for (const { texts, side, input_ids, attention_mask } of vectors.padding) {
      const batch = tokenizer.encodeBatch(texts, { side, allowSpecialTokens: true });
      expect(batch.ids).toEqual(input_ids);
      expect(batch.mask).toEqual(attention_mask);
    }
  });

  it('streams the same text in whole characters', () => {
    for (const { ids, decoded } of [...vectors.strings, ...vectors.decode_only]) {
      const stream = tokenizer.stream();
      const parts = ids.map((id) => stream.push(id));
      parts.push(stream.end());
      expect(parts.join('')).toBe(decoded);
      for (const part of parts) expect(Buffer.from(part).toString()).toBe(part);
    }
  });
});

const systemPrompt =
  'Sys msg: [IMG]ImageContent[/IMG]. [USER]: [IMG]<image><image>[/IMG] please provide [ASSISTANT]: the image';

describe.skipIf(!referenceExists)('white space beside special tokens', () => {
  it('is stripped by the rule of mid-2023, the default', async () => {
    const tokenizer = await open('tokenizer.json', { instruct: true });
    expect(tokenizer.encode(systemPrompt, { allowSpecialTokens: true })).toEqual([
      1, 317, 952, 10191, 29901, 32001, 7084, 3916, 32002, 869, 32004, 584, 32001, 32003, 32003, 32002, 3113,
      3867, 32005, 584, 278, 1967,
    ]);
  });

  it('is kept by the present rule', async () => {
    const tokenizer = await open('tokenizer.json', { instruct: true, whitespace: 'keep' });
    expect(tokenizer.encode(systemPrompt, { allowSpecialTokens: true })).toEqual([
      1, 317, 952, 10191, 29901, 29871, 32001, 2940, 3916, 32002, 29889, 29871, 32004, 29901, 29871, 32001,
      32003, 32003, 32002, 3113, 3867, 29871, 32005, 29901, 278, 1967,
    ]);
  });

  it('follows Python, not JavaScript: U+FEFF stays, U+001C and U+0085 go', async () => {
    const tokenizer = await open('tokenizer.json');
    const ids = (text: string): number[] => tokenizer.encode(text, { allowSpecialTokens: true });
    expect(ids('a\u001c\u0085[IMG]')).toEqual(ids('a[IMG]'));
    expect(ids('a\ufeff[IMG]')).not.toEqual(ids('a[IMG]'));
  });
});

describe.skipIf(!referenceExists)('text and special tokens', () => {
  let tokenizer: EmuTokenizer;
  beforeAll(async () => {
    tokenizer = await open('tokenizer.json');
  });

  it('keeps special tokens typed by a user as text', () => {
    const { imageStart, imageSlot, eos } = tokenizer.specialTokens;
    const ids = tokenizer.encode('[IMG]<image></s>');
    for (const special of [imageStart, imageSlot, eos]) expect(ids).not.toContain(special);
    expect(tokenizer.decode(ids)).toBe('[IMG]<image></s>');
  });

  it('builds prompts from parts, with user text between special tokens', () => {
    const ids = tokenizer.encodeSegments([
      { special: 'imageStart' },
      { special: 'imageSlot', count: 3 },
      { special: 'imageEnd' },
      { text: ' What does ' },
      { text: '[IMG] mean?' },
    ]);
    expect(ids.slice(0, 6)).toEqual([1, 32001, 32003, 32003, 32003, 32002]);
    expect(ids.slice(6)).toEqual(tokenizer.encode('What does [IMG] mean?', { addBos: false }));
  });

  it('joins neighbouring texts before encoding', () => {
    expect(tokenizer.encodeSegments([{ text: 'hel' }, { text: '' }, { text: 'lo' }])).toEqual(
      tokenizer.encode('hello'),
    );
  });

  it('refuses names and parts it does not have', () => {
    expect(() => tokenizer.encodeSegments([{ special: 'user' }])).toThrow(
      '[tokenizer] special token "user" is none of unknown, bos, eos, pad, imageStart, imageEnd, imageSlot',
    );
    expect(() => tokenizer.encodeSegments([{ special: 'toString' as 'user' }])).toThrow(
      '"toString" is none of',
    );
    expect(() => tokenizer.encodeSegments([{ special: 'imageSlot', count: 1e9 }])).toThrow(
      'count of a special token must be an integer in 0..1000000, got 1000000000',
    );
    expect(() => tokenizer.encode(5 as unknown as string)).toThrow(
      '[tokenizer] a part must be { text: string } or { special }, got text of type number',
    );
    expect(() => tokenizer.encodeSegments(['a' as unknown as { text: string }])).toThrow(
      'or { special }, got "a"',
    );
    expect(() => tokenizer.encodeSegments([null as unknown as { text: string }])).toThrow(
      'or { special }, got null',
    );
  });

  it('refuses ids outside the vocabulary', () => {
    expect(() => tokenizer.decode([32004])).toThrow(
      '[tokenizer] id 32004 is outside the vocabulary 0..32003',
    );
    expect(() => tokenizer.decode([-1])).toThrow('id -1');
    expect(() => tokenizer.decode([1.5])).toThrow('id 1.5');
    expect(() => tokenizer.stream().push(NaN)).toThrow('id NaN');
  });

  it('turns lone surrogates into U+FFFD instead of failing', () => {
    expect(tokenizer.decode(tokenizer.encode('a\ud800b'))).toBe('a\ufffdb');
  });
});

describe.skipIf(!referenceExists)('limits', () => {
  it('encodes a megabyte in bounded time, also where nothing can be cut', async () => {
    const tokenizer = await open('tokenizer.json');
    const english = 'The quick brown fox jumps over the lazy dog, and 42 more. '.repeat(18_000);
    for (const text of [
      english,
      'a'.repeat(1e6),
      ' '.repeat(1e6),
      'ab'.repeat(5e5),
      '\u{1f600}'.repeat(2.5e5),
    ]) {
      const start = performance.now();
      const ids = tokenizer.encode(text);
      const seconds = (performance.now() - start) / 1000;
      expect(tokenizer.decode(ids)).toBe(text);
      // About 1 s each here; a quadratic encoder takes hours.
      expect(seconds, text.slice(0, 10)).toBeLessThan(15);
    }
  });

  it('refuses longer texts, naming the limit', async () => {
    const tokenizer = await open('tokenizer.json', { maxCharacters: 10 });
    expect(tokenizer.encode('0123456789').length).toBeGreaterThan(1);
    expect(() => tokenizer.encodeSegments([{ text: '01234' }, { text: '567890' }])).toThrow(
      '[tokenizer] the text has 11 characters or more, at most 10 are accepted',
    );
    await expect(open('tokenizer.json', { maxCharacters: NaN })).rejects.toThrow(
      'maxCharacters must be an integer',
    );
  });
});

describe.skipIf(!referenceExists)('readTokenizer', () => {
  it('opens a folder', async () => {
    const tokenizer = await readTokenizer(referencePath(folder));
    expect(tokenizer.encode('a dog')).toEqual([1, 263, 11203]);
  });

  it('names the folder that has no tokenizer', async () => {
    const missing = await readTokenizer(referencePath('inputs')).catch((error: unknown) => error);
    expect(EmuError.isInstance(missing) && missing.code).toBe('MODEL_NOT_FOUND');
    expect(String(missing)).toContain('neither tokenizer.json nor tokenizer.model is in');
  });
});
