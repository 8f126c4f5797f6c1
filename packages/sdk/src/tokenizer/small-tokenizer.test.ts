import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import { EmuTokenizer } from './emu-tokenizer.js';

const repository = join(import.meta.dirname, '../../../..');
const folder = join(repository, 'models/tokenizer');

/** The part of the package we use; its own declarations do not resolve as an ES module. */
type PeerConstructor = new (tokenizer: object, config: object) => { encode(text: string): { ids: number[] } };
interface Trainer {
  trainTokenizer(text: string, options: { pieceCount: number }): unknown;
}

const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom(' ', '  ', '\n', ' a', ' the', 'picture', ' 12', '[IMG]', '<s>', '<0x41>'),
      fc.string({ maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('the tokenizer of the small models', () => {
  const bytes = readFileSync(join(folder, 'tokenizer.json'));
  let tokenizer: EmuTokenizer;
  beforeAll(async () => {
    tokenizer = await EmuTokenizer.fromBytes({ tokenizerJson: bytes }, { instruct: true });
  });

  it('is what training on its corpus gives', async () => {
    const trainer = (await import(join(repository, 'tools/train-tokenizer.mjs'))) as Trainer;
    const corpus = readFileSync(join(folder, 'corpus.txt'), 'utf8');
    const trained = trainer.trainTokenizer(corpus, { pieceCount: 1500 });
    expect(`${JSON.stringify(trained)}\n`).toBe(bytes.toString('utf8'));
  });

  it("has Emu's tokens behind its own vocabulary", () => {
    expect(tokenizer.vocabularySize).toBe(1170);
    expect(tokenizer.specialTokens).toMatchObject({
      bos: 1,
      eos: 2,
      pad: 1164,
      imageSlot: 1167,
      assistant: 1169,
    });
    expect(bytes.length).toBeLessThan(100_000);
  });

  it('spells ordinary captions in few tokens', () => {
    const caption = 'a photo of a cat sitting on a sofa next to a window';
    expect(tokenizer.encode(caption).length).toBeLessThan(20);
    expect(tokenizer.decode(tokenizer.encode(caption))).toBe(caption);
  });

  it('gives any text back, and an independent tokenizer agrees on the ids', async () => {
    const packageExports: unknown = await import('@huggingface/tokenizers');
    const { Tokenizer } = packageExports as { Tokenizer: PeerConstructor };
    const peer = new Tokenizer(JSON.parse(bytes.toString('utf8')) as object, {});
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(Buffer.from(text).toString().replaceAll('\u2581', ' '));
        if (text !== '' && !/<\/?s>|<unk>/.test(text)) expect(peer.encode(text).ids).toEqual(ids);
      }),
      { numRuns: 2000, seed: 11 },
    );
  });
});
