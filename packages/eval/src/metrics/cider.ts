import { checkCases, countNgrams, mean, wordsOf, type CaptionCase, type CaptionScores } from './corpus.js';

/** Longest n-gram. */
const longest = 4;
/** Width of the length penalty, in bigrams. */
const sigma = 6;

/** Weights of the n-grams of a text, their norm per n, and the number of its bigrams. */
interface TextVector {
  readonly weights: readonly ReadonlyMap<string, number>[];
  readonly norms: readonly number[];
  readonly bigrams: number;
}

type Counts = readonly ReadonlyMap<string, number>[];

function countsOf(text: string): Counts {
  const words = wordsOf(text);
  return Array.from({ length: longest }, (_, at) => countNgrams(words, at + 1));
}

function vectorOf(counts: Counts, documents: ReadonlyMap<string, number>, logImages: number): TextVector {
  const weights = counts.map(
    (ngrams) =>
      new Map(
        [...ngrams].map(([ngram, count]) => [
          ngram,
          count * (logImages - Math.log(documents.get(ngram) ?? 1)),
        ]),
      ),
  );
  const norms = weights.map((entries) =>
    Math.sqrt([...entries.values()].reduce((sum, weight) => sum + weight ** 2, 0)),
  );
  const bigrams = [...(counts[1]?.values() ?? [])].reduce((sum, count) => sum + count, 0);
  return { weights, norms, bigrams };
}

/** Similarity of a caption and one reference: clipped cosines of n = 1..4, averaged, damped by the lengths. */
function similarity(candidate: TextVector, reference: TextVector): number {
  const damping = Math.exp(-((candidate.bigrams - reference.bigrams) ** 2) / (2 * sigma ** 2));
  const cosines = candidate.weights.map((entries, at) => {
    const others = reference.weights[at];
    let product = 0;
    for (const [ngram, weight] of entries) {
      const other = others?.get(ngram) ?? 0;
      product += Math.min(weight, other) * other;
    }
    const norms = (candidate.norms[at] ?? 0) * (reference.norms[at] ?? 0);
    return norms === 0 ? product : product / norms;
  });
  return mean(cosines) * damping;
}

/**
 * CIDEr-D (Vedantam et al. 2015), times ten as usual: n = 1..4, sigma 6, document frequencies over the references of
 * this very corpus. A corpus of one image scores 0.
 * @throws EmuError INVALID_OPTION when there is no case, or a case without references.
 * Source: pycocoevalcap cider_scorer.py; equal to it within 1e-9. What it calls CIDEr is CIDEr-D, and its length
 * penalty counts bigrams, not words; so does this.
 */
export function cider(cases: readonly CaptionCase[]): CaptionScores {
  checkCases('cider', cases);
  const references = cases.map((one) => one.references.map(countsOf));
  const documents = new Map<string, number>();
  for (const counts of references) {
    const ngrams = new Set(counts.flatMap((lengths) => lengths.flatMap((entries) => [...entries.keys()])));
    for (const ngram of ngrams) documents.set(ngram, (documents.get(ngram) ?? 0) + 1);
  }
  const logImages = Math.log(cases.length);
  const each = cases.map(({ candidate }, at) => {
    const vector = vectorOf(countsOf(candidate), documents, logImages);
    const scores = (references[at] ?? []).map((counts) =>
      similarity(vector, vectorOf(counts, documents, logImages)),
    );
    return 10 * mean(scores);
  });
  return { corpus: mean(each), each };
}
