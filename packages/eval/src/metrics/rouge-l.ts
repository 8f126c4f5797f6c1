import { checkCases, mean, type CaptionCase, type CaptionScores } from './corpus.js';

/** Length of the longest common subsequence. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let previous = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    b.forEach((other, at) => {
      row[at + 1] = word === other ? (previous[at] ?? 0) + 1 : Math.max(previous[at + 1] ?? 0, row[at] ?? 0);
    });
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** Recall counts more than precision. */
const beta = 1.2;

/**
 * ROUGE-L (Lin 2004), 0..1: the F-measure of best precision and best recall over the references, and its mean.
 * @throws EmuError INVALID_OPTION when there is no case, or a case without references.
 * Source: pycocoevalcap rouge.py; equal to it within 1e-9. As there, words are split at each single space.
 */
export function rougeL(cases: readonly CaptionCase[]): CaptionScores {
  checkCases('rouge-l', cases);
  const each = cases.map(({ candidate, references }) => {
    const words = candidate.split(' ');
    let precision = 0;
    let recall = 0;
    for (const reference of references) {
      const other = reference.split(' ');
      const common = commonLength(other, words);
      precision = Math.max(precision, common / words.length);
      recall = Math.max(recall, common / other.length);
    }
    if (precision === 0 || recall === 0) return 0;
    return ((1 + beta ** 2) * precision * recall) / (recall + beta ** 2 * precision);
  });
  return { corpus: mean(each), each };
}
