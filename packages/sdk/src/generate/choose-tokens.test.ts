import { describe, expect, it } from 'vitest';

import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { TokenTrie } from './constraints.js';
import { applyRules, forbidRepeatedRuns, holdEnd, penalizeRepetition } from './logits-processors.js';
import { expOfNonPositive, indexOfLargest, indicesOfLargest, softmax } from './probabilities.js';
import { drawKey, drawToken, keepLikely, samplingProbabilities, uniformAt, weightsOf } from './sampling.js';
import { StopSequences } from './stop-sequences.js';
import { chooseAtRandom, chooseBest, chooseToken } from './token-loop.js';

const file = 'goldens/llm.safetensors';
const width = 64;

describe.skipIf(!referenceExists)('rules for the next token, against the authors', () => {
  const golden = (name: string, row: number): number[] =>
    [...referenceFloats(file, `processor.${name}`).slice(row * width, (row + 1) * width)].map((value) =>
      value === Math.fround(-1e30) ? -Infinity : value,
    );
  const rules: readonly (readonly [string, (scores: Float32Array, ids: readonly number[]) => void])[] = [
    [
      'repetition_penalty_12',
      (scores, ids) => {
        penalizeRepetition(scores, ids, 1.2);
      },
    ],
    [
      'repetition_penalty_07',
      (scores, ids) => {
        penalizeRepetition(scores, ids, 0.7);
      },
    ],
    [
      'no_repeat_ngram_2',
      (scores, ids) => {
        forbidRepeatedRuns(scores, ids, 2);
      },
    ],
    [
      'no_repeat_ngram_3',
      (scores, ids) => {
        forbidRepeatedRuns(scores, ids, 3);
      },
    ],
    [
      'min_length_9',
      (scores, ids) => {
        holdEnd(scores, ids, 9, 2);
      },
    ],
    [
      'min_length_10',
      (scores, ids) => {
        holdEnd(scores, ids, 10, 2);
      },
    ],
  ];

  it.each(rules)('%s', (name, apply) => {
    const ids = Array.from(referenceTensor(file, 'processor.input_ids').data, Number);
    for (const row of [0, 1]) {
      const scores = Float32Array.from(golden('logits', row));
      apply(scores, ids.slice(row * 9, (row + 1) * 9));
      expect([...scores]).toEqual(golden(name, row));
    }
  });

  it.each([
    ['topp09', { temperature: 1, topK: 0, topP: 0.9 }],
    ['topp05_temp07', { temperature: 0.7, topK: 0, topP: 0.5 }],
    ['topk50_topp09_temp13', { temperature: 1.3, topK: 50, topP: 0.9 }],
  ])('sampling keeps the same tokens: %s', (name, options) => {
    const logits = referenceFloats(file, 'logits_last3').slice(-32004);
    const probabilities = samplingProbabilities(logits, options);
    const ids = Array.from(referenceTensor(file, `sample.${name}.ids`).data, Number);
    const kept = [...probabilities.keys()].filter((id) => (probabilities[id] ?? 0) > 0);
    expect(kept).toEqual([...ids].sort((a, b) => a - b));
    for (const [index, probability] of referenceFloats(file, `sample.${name}.probs`).entries()) {
      expect(probabilities[ids[index] ?? -1]).toBeCloseTo(probability, 5);
    }
  });
});

describe('draws', () => {
  const scores = Float32Array.from([1, 3, 2, -Infinity, 0.5]);
  const options = { temperature: 1, topK: 0, topP: 1 };

  it('depend on seed, sequence and position, each alone', () => {
    const at = (seed: bigint, sequence: number, position: number): number =>
      uniformAt({ key: drawKey(seed), sequence, position });
    expect(at(7n, 0, 0)).toBe(at(7n, 0, 0));
    const draws = [at(7n, 0, 0), at(7n, 0, 1), at(7n, 1, 0), at(8n, 0, 0), at((1n << 40n) + 7n, 0, 0)];
    expect(new Set(draws).size).toBe(5);
    for (const draw of draws) expect(draw >= 0 && draw < 1).toBe(true);
  });

  it('weigh scores by powers of e that are those of Math.exp to 13 digits', () => {
    for (let x = 0; x > -700; x -= 0.0137) {
      expect(Math.abs(expOfNonPositive(x) / Math.exp(x) - 1)).toBeLessThan(1e-13);
    }
    expect([0, -746, -Infinity, NaN].map(expOfNonPositive)).toEqual([1, 0, 0, NaN]);
  });

  it('follow the probabilities, and never take what is forbidden', () => {
    const counts = new Array<number>(5).fill(0);
    const rounds = 20_000;
    for (let position = 0; position < rounds; position++) {
      const id = drawToken(weightsOf(scores, 1), options, { key: drawKey(1n), sequence: 0, position });
      counts[id] = (counts[id] ?? 0) + 1;
    }
    const probabilities = softmax(scores);
    // Five standard deviations of a binomial with p = 1/2 are 0.018.
    for (const [id, count] of counts.entries()) {
      expect(Math.abs(count / rounds - (probabilities[id] ?? 0))).toBeLessThan(0.018);
    }
    expect(counts[3]).toBe(0);
  });

  it.each([
    [1, 0, 1],
    [0.7, 0, 1],
    [1, 40, 1],
    [1.3, 50, 0.9],
  ])('are those of the whole distribution: temperature %d, topK %d, topP %d', (temperature, topK, topP) => {
    const many = Float32Array.from({ length: 1000 }, (_, id) => 4 * Math.sin(id * id));
    for (let position = 0; position < 300; position++) {
      const place = { key: drawKey(3n), sequence: 1, position };
      const probabilities = samplingProbabilities(many, { temperature, topK, topP });
      let sum = 0;
      const first = probabilities.findIndex((probability) => (sum += probability) > uniformAt(place));
      expect(drawToken(weightsOf(many, temperature), { topK, topP }, place)).toBe(first);
    }
  });

  it('keep what dropping token after token, the worst first, would keep', () => {
    let state = 1;
    const random = (): number => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32;
    for (let round = 0; round < 500; round++) {
      // Every other time few different weights, so that most are equal to others.
      const steps = round % 2 === 0 ? 4 : 2 ** 20;
      const weights = Float32Array.from({ length: 1 + (round % 60) }, () => Math.ceil(random() ** 4 * steps));
      const topP = 0.01 + 0.98 * random();
      const kept = weights.slice();
      const worstFirst = [...weights.keys()].sort((a, b) => (weights[a] ?? 0) - (weights[b] ?? 0) || b - a);
      const mayGo = (1 - topP) * weights.reduce((sum, weight) => sum + weight, 0);
      let gone = 0;
      for (const id of worstFirst.slice(0, -1)) {
        gone += weights[id] ?? 0;
        if (gone > mayGo) break;
        kept[id] = 0;
      }
      keepLikely(weights, { topK: 0, topP });
      expect([...weights]).toEqual([...kept]);
    }
  });

  it('keep one token at least, and ties at the edge of topK', () => {
    const kept = (values: readonly number[], filters: Partial<typeof options>): number[] =>
      [...samplingProbabilities(Float32Array.from(values), { ...options, ...filters }).entries()].flatMap(
        ([id, probability]) => (probability > 0 ? [id] : []),
      );
    expect(kept([...scores], { topP: 1e-9 })).toEqual([1]);
    expect(kept([2, 1, 2, 1, 0], { topK: 3 })).toEqual([0, 1, 2, 3]);
    for (const temperature of [1e-6, 1e-38, 5e-324])
      expect(kept([-80, 3, 90, 2], { temperature })).toEqual([2]);
    // Two of four equals are enough for half of the probability: the ones with the lower ids stay.
    expect(kept([0, 0, 0, 0], { topP: 0.5 })).toEqual([0, 1]);
  });
});

describe('the best of scores', () => {
  it('is the first of equals and never NaN', () => {
    expect(indexOfLargest([1, 3, 3])).toBe(1);
    expect(indexOfLargest([NaN, -Infinity, NaN])).toBe(1);
    expect(indexOfLargest([NaN])).toBe(-1);
    expect(indicesOfLargest([1, 5, 5, 2], 3)).toEqual([1, 2, 3]);
  });
});

describe('choices', () => {
  it('limit each token to what continues one of them', () => {
    const trie = new TokenTrie(
      [
        [5, 6],
        [5, 7, 2],
      ],
      2,
    );
    expect(trie.allowedAfter([])).toEqual([5]);
    expect(trie.allowedAfter([5])).toEqual([6, 7]);
    expect(trie.allowedAfter([5, 6])).toEqual([2]);
    expect(trie.allowedAfter([9])).toEqual([]);
    const scores = new Float32Array(8).fill(1);
    const rules = { repetitionPenalty: 1, noRepeatNgramSize: 0, minLength: 0, endId: 2 };
    applyRules(scores, [1, 5], { ...rules, allowedAfter: (ids) => trie.allowedAfter(ids) });
    expect([...scores.keys()].filter((id) => Number.isFinite(scores[id]))).toEqual([6, 7]);
    expect(() => new TokenTrie([], 2)).toThrow('[choices] there must be at least one choice');
    expect(() => new TokenTrie([[3], [2]], 2)).toThrow('[choices] choice 1 has no text');
  });
});

describe('rows of a model that its tokenizer has no tokens for', () => {
  const rules = { repetitionPenalty: 1, noRepeatNgramSize: 0, minLength: 0, endId: 2, vocabularySize: 6 };

  it('are never chosen, however likely', () => {
    const logits = Float32Array.of(0, 1, 0, 2, 0, 0, 9, 9);
    const result = { logits, probabilities: Float32Array.from(softmax(logits)) };
    expect(chooseToken(result, [1], { rules }, chooseBest)).toBe(3);
    const drawn = Array.from({ length: 50 }, (_, sequence) => {
      const chooser = chooseAtRandom({ temperature: 1, topK: 0, topP: 1 }, 7n, sequence);
      return chooseToken(result, [1], { rules }, chooser);
    });
    expect(Math.max(...drawn)).toBeLessThan(6);
  });

  it('leave the others their odds, even where they have all of the probability', () => {
    const chances = (forbidden: number): number[] => {
      const logits = Float32Array.of(0, 1, 0, 2, 0, 0, forbidden, forbidden);
      const result = { logits, probabilities: Float32Array.from(softmax(logits)) };
      return Array.from({ length: 500 }, (_, sequence) =>
        chooseToken(
          result,
          [1],
          { rules },
          chooseAtRandom({ temperature: 1, topK: 0, topP: 1 }, 7n, sequence),
        ),
      );
    };
    expect(chances(200)).toEqual(chances(-200));
    expect(new Set(chances(200)).size).toBe(6);
  });

  it('do not stand in for scores that are not numbers', () => {
    const logits = new Float32Array(8).fill(NaN);
    const result = { logits, probabilities: logits };
    for (const chooser of [chooseBest, chooseAtRandom({ temperature: 1, topK: 3, topP: 0.9 }, 7n, 0)]) {
      expect(() => chooseToken(result, [1], { rules }, chooser)).toThrow('no token can follow 0 tokens');
    }
  });
});

describe('stop sequences', () => {
  it('hold back what may be the beginning of one', () => {
    const stops = new StopSequences(['###', 'END']);
    expect(stops.push('a#')).toBe('a');
    expect(stops.push('#b')).toBe('##b');
    expect(stops.push('E')).toBe('');
    expect(stops.push('N')).toBe('');
    expect(stops.push('T#')).toBe('ENT');
    expect(stops.push('## tail')).toBe('');
    expect(stops.isStopped).toBe(true);
    expect(stops.push('more') + stops.end()).toBe('');
    const open = new StopSequences(['END']);
    expect(open.push('EN') + open.end()).toBe('EN');
  });
});
