import { readFileSync } from 'node:fs';

import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';

import { referenceExists, referenceJson, referencePath } from '../testing/reference-data.js';
import { EmuTokenizer } from './emu-tokenizer.js';

/** The part of the package we use; its own declarations do not resolve as an ES module. */
interface Peer {
  encode(text: string): { ids: number[] };
}
type PeerConstructor = new (tokenizer: object, config: object) => Peer;

const folder = 'checkpoint/llama_config';

/** Texts with much merging, runs of one character, and characters outside the vocabulary. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ' ',
        '  ',
        '\n',
        '\t',
        'the',
        'ing',
        'aaa',
        'ab',
        '....',
        '0',
        '12',
        '\u2581',
        '\u0301',
      ),
      fc.string({ maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.tuple(fc.constantFrom(' ', 'a', '-', '=', '\n', 'e'), fc.nat(40)).map(([unit, n]) => unit.repeat(n)),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe.skipIf(!referenceExists)('fuzzing', () => {
  let fromJson: EmuTokenizer;
  let fromModel: EmuTokenizer;
  let peer: Peer;

  beforeAll(async () => {
    const json = readFileSync(referencePath(`${folder}/tokenizer.json`));
    fromJson = await EmuTokenizer.fromBytes({ tokenizerJson: json });
    fromModel = await EmuTokenizer.fromBytes({
      tokenizerModel: readFileSync(referencePath(`${folder}/tokenizer.model`)),
    });
    const packageExports: unknown = await import('@huggingface/tokenizers');
    const { Tokenizer } = packageExports as { Tokenizer: PeerConstructor };
    peer = new Tokenizer(
      referenceJson<object>(`${folder}/tokenizer.json`),
      referenceJson<object>(`${folder}/tokenizer_config.json`),
    );
  });

  it('both files give the same ids, and text comes back', () => {
    fc.assert(
      fc.property(text, (value) => {
        const ids = fromJson.encode(value);
        expect(fromModel.encode(value)).toEqual(ids);
        expect(fromJson.decode(ids)).toBe(value.replaceAll('\u2581', ' '));
      }),
      { numRuns: 3000, seed: 1 },
    );
  });

  it('an independent tokenizer gives the same ids', () => {
    fc.assert(
      fc.property(text, (value) => {
        fc.pre(value !== '' && !/<\/?s>|<unk>/.test(value));
        expect(fromJson.encode(value)).toEqual(peer.encode(value).ids);
      }),
      { numRuns: 1500, seed: 3 },
    );
  });

  it('streams of any ids are the decoded text', () => {
    const ids = fc.array(fc.oneof(fc.nat(32003), fc.integer({ min: 0, max: 260 })), { maxLength: 40 });
    fc.assert(
      fc.property(ids, (value) => {
        const stream = fromJson.stream();
        const parts = value.map((id) => stream.push(id));
        expect(parts.join('') + stream.end()).toBe(fromJson.decode(value));
        for (const part of parts) expect(Buffer.from(part).toString()).toBe(part);
      }),
      { numRuns: 2000, seed: 5 },
    );
  });
});
