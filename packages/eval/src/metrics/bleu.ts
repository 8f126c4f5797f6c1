import { checkCases, countNgrams, wordsOf, type CaptionCase } from './corpus.js';

/** BLEU-1 to BLEU-4. */
export type BleuScores = readonly [number, number, number, number];

interface Counts {
  candidateLength: number;
  referenceLength: number;
  /** n-grams of the candidate, and those a reference has as well, for n = 1..4. */
  readonly guessed: number[];
  readonly correct: number[];
}

// As in pycocoevalcap: no division by zero, and a caption without a match scores almost nothing rather than nothing.
const tiny = 1e-15;
const small = 1e-9;

function countsOf({ candidate, references }: CaptionCase): Counts {
  const words = wordsOf(candidate);
  const referenceWords = references.map(wordsOf);
  const lengths = referenceWords.map((reference) => reference.length);
  // The closest length; of two equally close ones the shorter.
  const referenceLength = lengths.reduce((best, length) => {
    const [here, there] = [Math.abs(length - words.length), Math.abs(best - words.length)];
    return here < there || (here === there && length < best) ? length : best;
  });
  const guessed: number[] = [];
  const correct: number[] = [];
  for (let length = 1; length <= 4; length++) {
    const ceilings = new Map<string, number>();
    for (const reference of referenceWords) {
      for (const [ngram, count] of countNgrams(reference, length)) {
        ceilings.set(ngram, Math.max(ceilings.get(ngram) ?? 0, count));
      }
    }
    let matched = 0;
    for (const [ngram, count] of countNgrams(words, length))
      matched += Math.min(count, ceilings.get(ngram) ?? 0);
    guessed.push(Math.max(0, words.length - length + 1));
    correct.push(matched);
  }
  return { candidateLength: words.length, referenceLength, guessed, correct };
}

function score({ candidateLength, referenceLength, guessed, correct }: Counts): BleuScores {
  const ratio = (candidateLength + tiny) / (referenceLength + small);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  let product = 1;
  const scores = guessed.map((count, at) => {
    product *= ((correct[at] ?? 0) + tiny) / (count + small);
    return product ** (1 / (at + 1)) * brevity;
  });
  const [one = 0, two = 0, three = 0, four = 0] = scores;
  return [one, two, three, four];
}

/**
 * BLEU-1..4 (Papineni et al. 2002) of each caption and of the corpus, with the closest reference length, 0..1.
 * @throws EmuError INVALID_OPTION when there is no case, or a case without references.
 * Source: pycocoevalcap bleu_scorer.py; equal to it within 1e-9.
 */
export function bleu(cases: readonly CaptionCase[]): { corpus: BleuScores; each: readonly BleuScores[] } {
  checkCases('bleu', cases);
  const counts = cases.map(countsOf);
  const total: Counts = {
    candidateLength: 0,
    referenceLength: 0,
    guessed: [0, 0, 0, 0],
    correct: [0, 0, 0, 0],
  };
  for (const one of counts) {
    total.candidateLength += one.candidateLength;
    total.referenceLength += one.referenceLength;
    for (let at = 0; at < 4; at++) {
      total.guessed[at] = (total.guessed[at] ?? 0) + (one.guessed[at] ?? 0);
      total.correct[at] = (total.correct[at] ?? 0) + (one.correct[at] ?? 0);
    }
  }
  return { corpus: score(total), each: counts.map(score) };
}
