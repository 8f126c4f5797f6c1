import { existsSync, readFileSync } from 'node:fs';

import { EmuError } from '@emu/program';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { referencePath } from '../testing/reference-data.js';
import { EmuTokenizer } from './emu-tokenizer.js';

const utf8 = new TextEncoder();

async function outcome(files: { json?: Uint8Array; model?: Uint8Array }): Promise<string> {
  try {
    await EmuTokenizer.fromBytes({
      ...(files.json && { tokenizerJson: files.json }),
      ...(files.model && { tokenizerModel: files.model }),
    });
  } catch (error) {
    return EmuError.isInstance(error)
      ? `${error.code} ${error.message}`
      : `not an EmuError: ${String(error)}`;
  }
  return 'opened';
}

interface SmallJson {
  added_tokens: { id: number; content: string }[];
  normalizer: unknown;
  pre_tokenizer: unknown;
  model: { type: string; byte_fallback: boolean; vocab: Record<string, unknown>; merges: unknown };
}

/** A small tokenizer.json: controls, bytes, a few letters and merges. */
function smallJson(change: (json: SmallJson) => void = () => undefined): Uint8Array {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const pieces = ['<unk>', '<s>', '</s>', ...bytes, '\u2581', 'a', 'b', 'ab', '\u2581ab'];
  const json: SmallJson = {
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '\u2581' },
        { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
      ],
    },
    pre_tokenizer: null,
    model: {
      type: 'BPE',
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: ['a b', ['\u2581', 'ab']],
    },
  };
  change(json);
  return utf8.encode(JSON.stringify(json));
}

describe('a small tokenizer.json', () => {
  it('opens, with merges as text and as pairs', async () => {
    const tokenizer = await EmuTokenizer.fromBytes({ tokenizerJson: smallJson() });
    expect(tokenizer.encode('ab ab')).toEqual([1, 263, 263]);
    expect(tokenizer.vocabularySize).toBe(264 + 4);
  });

  it('may already hold the added tokens, which then keep their ids', async () => {
    const json = smallJson((j) => {
      j.added_tokens.push(
        { id: 264, content: '[PAD]' },
        { id: 265, content: '[IMG]' },
        { id: 266, content: '[/IMG]' },
        { id: 267, content: '<image>' },
        { id: 268, content: '[USER]' },
        { id: 269, content: '[ASSISTANT]' },
      );
    });
    const tokenizer = await EmuTokenizer.fromBytes({ tokenizerJson: json });
    expect(tokenizer.specialTokens).toMatchObject({ pad: 264, imageSlot: 267, user: 268, assistant: 269 });
    expect(tokenizer.vocabularySize).toBe(270);
    expect(tokenizer.encode('[USER]', { allowSpecialTokens: true })).toEqual([1, 268]);
  });

  it('opens in the newer spelling of its rules', async () => {
    const json = smallJson((j) => {
      Object.assign(j, {
        normalizer: null,
        pre_tokenizer: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'first', split: false },
      });
    });
    expect(await outcome({ json })).toBe('opened');
  });
});

describe('a broken tokenizer.json', () => {
  const cases: readonly (readonly [string, (json: SmallJson) => void, string])[] = [
    [
      'an id twice',
      (j) => (vocab(j)['a'] = 261),
      'CHECKPOINT_CORRUPT [tokenizer.json] id 261 belongs to "a" and "b"',
    ],
    [
      'a gap',
      (j) => Reflect.deleteProperty(vocab(j), 'b'),
      'CHECKPOINT_CORRUPT [tokenizer.json] id 261 of 263 has no piece',
    ],
    ['a negative id', (j) => (vocab(j)['a'] = -1), 'the id of "a" is -1'],
    ['a huge id', (j) => (vocab(j)['a'] = 1e9), 'the id of "a" is 1000000000'],
    ['an id that is text', (j) => (vocab(j)['a'] = '1'), 'the id of "a" is "1"'],
    ['a missing byte', rename('<0x41>', 'x'), 'the piece of byte 65 is missing'],
    [
      'no <s>',
      (j) => {
        rename('<s>', 'y')(dropAdded(j));
      },
      'the piece <s> is missing',
    ],
    ['a merge of nothing', (j) => (j.model.merges = ['a z']), 'merge 0 "a z" does not join two pieces'],
    ['a merge of three', (j) => (j.model.merges = ['a b ab']), 'merge 0 "a b ab" does not join'],
    ['a merge that is a number', (j) => (j.model.merges = [7]), 'merge 0 7 does not join'],
    ['merges that are no list', (j) => (j.model.merges = {}), 'model.merges: '],
    ['another model', (j) => (j.model.type = 'Unigram'), 'model.type: '],
    ['no bytes', (j) => (j.model.byte_fallback = false), 'model.byte_fallback: '],
    [
      'an added token with a gap',
      (j) => j.added_tokens.push({ id: 300, content: 'x' }),
      'added token "x" has id 300, due was 264',
    ],
    [
      'an added token that contradicts',
      (j) => j.added_tokens.push({ id: 5, content: 'x' }),
      'added token "x" has id 5, which is "<0x02>"',
    ],
    [
      'other rules',
      (j) => Object.assign(j, { normalizer: { type: 'NFC' } }),
      'CAPABILITY_MISSING [tokenizer.json] not a LLaMA tokenizer: its rules are [{"type":"NFC"},null]',
    ],
  ];

  function vocab(json: SmallJson): Record<string, unknown> {
    return json.model.vocab;
  }
  function rename(from: string, to: string) {
    return (json: SmallJson): void => {
      vocab(json)[to] = vocab(json)[from];
      Reflect.deleteProperty(vocab(json), from);
    };
  }
  function dropAdded(json: SmallJson): SmallJson {
    return Object.assign(json, { added_tokens: [] });
  }

  it.each(cases)('with %s is refused', async (_, change, message) => {
    expect(await outcome({ json: smallJson(change) })).toContain(message);
  });

  it('is refused when it is no JSON, no text or cut off', async () => {
    expect(await outcome({ json: utf8.encode('{"a":') })).toContain(
      'CHECKPOINT_CORRUPT [tokenizer.json] not JSON',
    );
    expect(await outcome({ json: Uint8Array.of(0xff, 0xfe) })).toContain('not JSON');
    expect(await outcome({ json: utf8.encode('null') })).toContain('(whole file)');
    expect(await outcome({ json: utf8.encode('[]') })).toContain('CHECKPOINT_CORRUPT');
    const whole = smallJson();
    expect(await outcome({ json: whole.subarray(0, whole.length - 10) })).toContain('not JSON');
  });

  it('needs one of the two files', async () => {
    expect(await outcome({})).toBe(
      'MODEL_NOT_FOUND [tokenizer] neither tokenizer.json nor tokenizer.model was given',
    );
  });
});

describe('a broken tokenizer.model', () => {
  it('is refused when it is empty, cut off or promises too much', async () => {
    expect(await outcome({ model: new Uint8Array(0) })).toBe(
      'CHECKPOINT_CORRUPT [tokenizer.model] no pieces',
    );
    // The piece "a" twice.
    const twice = Uint8Array.of(0x0a, 0x03, 0x0a, 0x01, 0x61, 0x0a, 0x03, 0x0a, 0x01, 0x61);
    expect(await outcome({ model: twice })).toBe(
      'CHECKPOINT_CORRUPT [tokenizer.model] piece 1 "a" is there twice',
    );
    // Field 1 with a length of 2^34 bytes.
    expect(await outcome({ model: Uint8Array.of(0x0a, 0x80, 0x80, 0x80, 0x80, 0x40) })).toBe(
      'CHECKPOINT_CORRUPT [tokenizer.model] a field of 17179869184 bytes runs past the end at byte 6 of 6',
    );
    expect(await outcome({ model: Uint8Array.of(0x0a) })).toContain('a number is cut off at byte 1 of 1');
    expect(await outcome({ model: new Uint8Array(12).fill(0xff) })).toContain('longer than ten bytes');
    expect(await outcome({ model: Uint8Array.of(0x0b) })).toContain('wire type 3');
    expect(await outcome({ model: Uint8Array.of(0x00, 0x00) })).toContain('field number 0');
    expect(await outcome({ model: Uint8Array.of(0x0a, 0x03, 0x0a, 0x01, 0xff) })).toContain(
      'piece 0 is not UTF-8',
    );
    expect(await outcome({ model: Uint8Array.of(0x0a, 0x00) })).toContain('piece 0 is empty');
  });

  it('of another kind is refused with the reason', async () => {
    // One piece "a", trainer_spec { model_type: UNIGRAM }.
    const model = Uint8Array.of(0x0a, 0x03, 0x0a, 0x01, 0x61, 0x12, 0x02, 0x18, 0x01);
    expect(await outcome({ model })).toBe(
      'CAPABILITY_MISSING [tokenizer.model] not a LLaMA tokenizer: model type 1 is not byte-pair encoding (2)',
    );
  });

  it('of random bytes ends in an EmuError', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (model) => {
        expect(await outcome({ model })).toMatch(/^(CHECKPOINT_CORRUPT|CAPABILITY_MISSING) /);
      }),
      { numRuns: 2000, seed: 9 },
    );
  });

  const original = referencePath('checkpoint/llama_config/tokenizer.model');
  it.skipIf(!existsSync(original))('with damaged bytes opens or ends in an EmuError', async () => {
    const whole = readFileSync(original);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }),
        fc.nat(whole.length),
        fc.boolean(),
        async (damage, length, isCut) => {
          const model = Uint8Array.from(whole);
          for (const [position, value] of damage) model[position] = value;
          const result = await outcome({ model: isCut ? model.subarray(0, Math.max(1, length)) : model });
          expect(result).toMatch(/^(opened|CHECKPOINT_CORRUPT|CAPABILITY_MISSING)/);
        },
      ),
      { numRuns: 25, seed: 2 },
    );
  });
});
