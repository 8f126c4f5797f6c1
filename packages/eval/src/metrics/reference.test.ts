import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bleu } from './bleu.js';
import { cider } from './cider.js';
import { mean } from './corpus.js';
import { featureStatistics, frechetDistance } from './frechet.js';
import { rougeL } from './rouge-l.js';
import { normalizeAnswer, normalizePunctuation, vqaAccuracy } from './vqa-accuracy.js';

const reference =
  process.env.EMU_REFERENCE ?? fileURLToPath(new URL('../../../../../shared/reference', import.meta.url));
const folder = join(reference, 'metrics');
const exists = existsSync(folder);
if (!exists) console.warn(`metrics: skipped, there is no reference data beside the checkout (${folder})`);

function json<T>(name: string): T {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
}

interface Captions {
  images: { candidate: string; references: string[]; bleu: number[]; rouge_l: number; cider: number }[];
  corpus: { bleu: number[]; rouge_l: number; cider: number };
}

interface Vqa {
  normalisation: { text: string; punctuation: string; normalised: string }[];
  questions: {
    question_type: string;
    answer_type: string;
    answers: string[];
    result: string;
    accuracy: number;
  }[];
  overall: {
    overall: number;
    perQuestionType: Record<string, number>;
    perAnswerType: Record<string, number>;
  };
}

interface Fid {
  cases: { name: string; dims: number; fid: number }[];
}

describe.skipIf(!exists)('captions, against the caption challenge', () => {
  it('has BLEU, ROUGE-L and CIDEr of every caption and of the corpus', () => {
    const { images, corpus } = json<Captions>('captions.json');
    const [b, r, c] = [bleu(images), rougeL(images), cider(images)];
    images.forEach((image, at) => {
      image.bleu.forEach((value, n) => {
        expect(Math.abs((b.each[at]?.[n] ?? NaN) - value)).toBeLessThan(1e-9);
      });
      expect(Math.abs((r.each[at] ?? NaN) - image.rouge_l)).toBeLessThan(1e-9);
      expect(Math.abs((c.each[at] ?? NaN) - image.cider)).toBeLessThan(1e-9);
    });
    corpus.bleu.forEach((value, n) => {
      expect(Math.abs((b.corpus[n] ?? NaN) - value)).toBeLessThan(1e-9);
    });
    expect(Math.abs(r.corpus - corpus.rouge_l)).toBeLessThan(1e-9);
    expect(Math.abs(c.corpus - corpus.cider)).toBeLessThan(1e-9);
  });
});

describe.skipIf(!exists)('VQA accuracy, against the official evaluation', () => {
  const { normalisation, questions, overall } = exists ? json<Vqa>('vqa.json') : ({} as Vqa);
  const round = (value: number): number => Math.round(value * 1e6) / 1e4;

  it('normalises every answer alike', () => {
    for (const { text, punctuation, normalised } of normalisation) {
      expect(normalizePunctuation(text)).toBe(punctuation);
      expect(normalizeAnswer(text), text).toBe(normalised);
    }
  });

  it('scores every question and every group alike', () => {
    const scored = questions.map((one) => ({ ...one, ours: vqaAccuracy(one.result, one.answers) }));
    for (const { ours, accuracy, result } of scored) expect(round(ours), result).toBe(accuracy);
    expect(round(mean(scored.map(({ ours }) => ours)))).toBe(overall.overall);
    for (const [type, value] of Object.entries(overall.perQuestionType)) {
      expect(round(mean(scored.filter((one) => one.question_type === type).map(({ ours }) => ours)))).toBe(
        value,
      );
    }
    for (const [type, value] of Object.entries(overall.perAnswerType)) {
      expect(round(mean(scored.filter((one) => one.answer_type === type).map(({ ours }) => ours)))).toBe(
        value,
      );
    }
  });
});

/** The float64 tensors of a safetensors file. */
function float64Tensors(path: string): Map<string, Float64Array> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float64Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = entry.data_offsets;
    const copy = new Uint8Array(bytes.subarray(8 + headerLength + from, 8 + headerLength + to));
    tensors.set(name, new Float64Array(copy.buffer));
  }
  return tensors;
}

describe.skipIf(!exists)('Fréchet distance, against pytorch-fid', () => {
  const { cases } = exists ? json<Fid>('fid.json') : { cases: [] };
  const tensors = exists ? float64Tensors(join(folder, 'fid.safetensors')) : new Map<string, Float64Array>();
  const tensor = (name: string): Float64Array => tensors.get(name) ?? new Float64Array();

  it.each(cases)('$name', ({ name, dims, fid }) => {
    const distance = frechetDistance(
      { mean: tensor(`${name}.mu1`), covariance: tensor(`${name}.sigma1`) },
      { mean: tensor(`${name}.mu2`), covariance: tensor(`${name}.sigma2`) },
    );
    expect(Math.abs(distance - fid)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(fid)));
    for (const set of [1, 2]) {
      const samples = tensors.get(`${name}.x${set}`);
      if (samples === undefined) continue;
      const { mean: centre, covariance } = featureStatistics(samples, dims);
      const pairs: [ArrayLike<number>, Float64Array][] = [
        [centre, tensor(`${name}.mu${set}`)],
        [covariance, tensor(`${name}.sigma${set}`)],
      ];
      for (const [ours, theirs] of pairs) {
        theirs.forEach((value, at) => {
          expect(Math.abs((ours[at] ?? NaN) - value)).toBeLessThan(1e-9);
        });
      }
    }
  });
});

describe('metrics refuse what they cannot score', () => {
  it('names what is missing', () => {
    expect(() => bleu([])).toThrow('[bleu] needs at least one caption, got 0');
    expect(() => cider([{ candidate: 'a', references: [] }])).toThrow('[cider] caption 0 has no references');
    expect(() => vqaAccuracy('a', [])).toThrow('[vqa] needs at least one answer, got 0');
    expect(() => featureStatistics([1, 2, 3], 3)).toThrow(
      '[frechet] needs at least 2 rows of 3 features, got 3 numbers',
    );
    const one = { mean: [0], covariance: [1] };
    expect(() => frechetDistance(one, { mean: [0, 0], covariance: [1, 0, 0, 1] })).toThrow('got 1 and 2');
    expect(() => frechetDistance(one, { mean: [0], covariance: [1, 2] })).toThrow(
      'the covariance of the second set must have 1x1 numbers, got 2',
    );
    expect(() => frechetDistance(one, { mean: [NaN], covariance: [1] })).toThrow(
      'second set hold a number that is not finite',
    );
  });

  it('gives a perfect caption the best scores', () => {
    const cases = [
      { candidate: 'a red circle on a gray background', references: ['a red circle on a gray background'] },
      { candidate: 'two blue stars at night over there', references: ['two blue stars at night over there'] },
    ];
    expect(bleu(cases).corpus[3]).toBeCloseTo(1, 6);
    expect(rougeL(cases).corpus).toBeCloseTo(1, 9);
    expect(cider(cases).corpus).toBeCloseTo(10, 6);
  });
});
