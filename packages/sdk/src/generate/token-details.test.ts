import { describe, expect, it } from 'vitest';

import { tellingChooser, type TokenDetails } from './token-details.js';
import { chooseBest } from './token-loop.js';

const rules = { repetitionPenalty: 1, noRepeatNgramSize: 0, minLength: 0, endId: 0 };

function told(scores: readonly number[], topLogprobs: number): readonly TokenDetails[] {
  const details: TokenDetails[] = [];
  const telling = tellingChooser(chooseBest, topLogprobs, (each) => details.push(each));
  expect(telling.wanted).toEqual(['logits']);
  const result = { logits: Float32Array.from(scores) };
  expect(telling.choose(result, [1], rules)).toBe(chooseBest.choose(result, [1], rules));
  return details;
}

describe('tellingChooser', () => {
  it('chooses as before and tells the log-probability', () => {
    const [details] = told([0, Math.log(3), 0], 0);
    expect(details).toMatchObject({ id: 1, alternatives: [] });
    expect(Math.exp(details?.logprob ?? 0)).toBeCloseTo(0.6, 6);
  });

  it('lists alternatives best first, the chosen one among them', () => {
    const [details] = told([0, 2, 1, -1], 3);
    expect(details?.alternatives.map(({ id }) => id)).toEqual([1, 2, 0]);
    expect(details?.alternatives[0]).toEqual({ id: 1, logprob: details?.logprob });
  });

  it('leaves out what the limits forbid', () => {
    const [details] = told([-Infinity, 5, -Infinity], 3);
    expect(details?.alternatives).toEqual([{ id: 1, logprob: 0 }]);
  });
});
