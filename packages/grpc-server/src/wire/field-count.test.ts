import { create, toBinary } from '@bufbuild/protobuf';
import { CountTokensRequestSchema, GenerateRequestSchema, OutputModality } from '@emu/proto';
import { describe, expect, it } from 'vitest';

import { checkFieldCount } from './field-count.js';

const tooLarge = '[request] the message has more than 100000 fields';

/** Bytes again and again, as the content of field `number`. */
function field(number: number, bytes: readonly number[], times: number): Uint8Array {
  const content = Buffer.concat(Array.from({ length: times }, () => Uint8Array.from(bytes)));
  const head = [(number << 3) | 2];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 128)) {
    head.push((rest % 128) | (rest >= 128 ? 128 : 0));
  }
  return Buffer.concat([Uint8Array.from(head), content]);
}

describe('the count of fields', () => {
  it('lets a request of many parts, long texts and pictures pass', () => {
    const texts = Array.from({ length: 4096 }, (_, index) => ({
      data: { case: 'text', value: `part ${index}` } as const,
    }));
    const image = { source: { case: 'data', value: new Uint8Array(2 ** 20) } } as const;
    const request = create(GenerateRequestSchema, {
      input: { case: 'prompt', value: { parts: [...texts, { data: { case: 'image', value: image } }] } },
      outputModalities: [OutputModality.TEXT],
      sampling: { choices: Array.from({ length: 1000 }, () => 'x'.repeat(100)) },
    });
    checkFieldCount(GenerateRequestSchema, toBinary(GenerateRequestSchema, request));
  });

  it('refuses unknown fields, empty parts and packed elements by their number, wherever they are', () => {
    const unknown = Buffer.concat(Array.from({ length: 100_001 }, () => Uint8Array.from([0x78, 0])));
    expect(() => {
      checkFieldCount(CountTokensRequestSchema, unknown);
    }).toThrow(tooLarge);
    const { prompt } = CountTokensRequestSchema.field;
    expect(() => {
      checkFieldCount(CountTokensRequestSchema, field(prompt.number, [0x0a, 0], 100_000));
    }).toThrow(tooLarge);
    const { outputModalities } = GenerateRequestSchema.field;
    expect(() => {
      checkFieldCount(GenerateRequestSchema, field(outputModalities.number, [1], 100_001));
    }).toThrow(tooLarge);
  });
});
