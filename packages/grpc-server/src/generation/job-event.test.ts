import { create, toBinary } from '@bufbuild/protobuf';
import { GenerateResponseSchema } from '@emu/proto';
import { describe, expect, it } from 'vitest';

import { textEvent } from '../convert/events.js';
import { encodeGenerate } from './job-event.js';

describe('encodeGenerate', () => {
  const texts = ['a', '', ' cat', 'é', '\u{1f600}', '\u0000', '\ud800', 'x'.repeat(126), 'y'.repeat(127)];
  const longer = [128, 16_381, 16_384, 70_000].map((length) => 'ß'.repeat(length));
  const numbers = [1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 40 + 5];

  it.each(numbers)('writes text number %d as the generated code does', (sequence) => {
    for (const text of [...texts, ...longer]) {
      const event = textEvent(text);
      const message = create(GenerateResponseSchema, { sequence: BigInt(sequence), event });
      const expected = Buffer.from(toBinary(GenerateResponseSchema, message));
      expect(expected.equals(encodeGenerate(sequence, event))).toBe(true);
    }
  });
});
