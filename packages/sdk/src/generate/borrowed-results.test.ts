import type { Session } from '@emu/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists } from '../testing/reference-data.js';
import { openReferenceLanguageModel } from '../testing/reference-prompts.js';
import { softmax } from './probabilities.js';
import { Sequence } from './sequence.js';
import type { Decoder } from './step.js';
import { logitsOf } from './token-loop.js';

describe.skipIf(!referenceExists).each(testBackends)('results of a step on $name', ({ backend }) => {
  let decoder: Decoder;
  let session: Session;

  beforeAll(async () => {
    ({ decoder, session } = await openReferenceLanguageModel('multimodal', referenceConfig.llama, backend));
  });
  afterAll(() => session.dispose());

  const logitsAfter = async (ids: readonly number[], borrowed: boolean): Promise<Float32Array> => {
    const sequence = Sequence.open(decoder);
    try {
      return logitsOf(await sequence.extend(ids, ['logits'], { borrowed }));
    } finally {
      sequence.close();
    }
  };

  it('are probabilities at the temperature of each row', async () => {
    const sequences = [Sequence.open(decoder), Sequence.open(decoder)];
    const temperatures = [0.5, undefined] as const;
    const rows = sequences.flatMap((sequence, index) =>
      sequence.rows([1], ['logits', 'probabilities'], { temperature: temperatures[index] }),
    );
    const results = await decoder.step(rows);
    for (const sequence of sequences) sequence.close();
    expect(results[0]?.logits).toEqual(results[1]?.logits);
    for (const [index, result] of results.entries()) {
      const expected = softmax(logitsOf(result).map((logit) => logit / (temperatures[index] ?? 1)));
      for (const [id, probability] of expected.entries())
        expect(Math.abs((result.probabilities?.[id] ?? NaN) - probability)).toBeLessThan(
          1e-6 + 1e-5 * probability,
        );
    }
  });

  it('stay as they are unless they were borrowed', async () => {
    const kept = await logitsAfter([1, 20], false);
    const copy = kept.slice();
    const borrowed = await logitsAfter([1, 30], true);
    const ofThirty = borrowed.slice();
    expect(await logitsAfter([1, 30], false)).toEqual(ofThirty);
    expect(borrowed).toEqual(ofThirty); // a run that must keep its results writes no lent memory
    await logitsAfter([1, 40], true);
    expect(borrowed).not.toEqual(ofThirty); // the same memory, written again
    expect(kept).toEqual(copy);
  });

  it('are those of a run of its own where some of its steps borrow and others do not', async () => {
    const alone = await Promise.all([logitsAfter([1, 20], false), logitsAfter([1, 40], false)]);
    const together = await Promise.all([
      logitsAfter([1, 20], true).then((logits) => logits.slice()),
      logitsAfter([1, 40], false),
    ]);
    await logitsAfter([1, 30], true);
    expect(together).toEqual(alone);
  });
});
