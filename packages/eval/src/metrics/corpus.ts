import { EmuError } from '@emu/program';

/** A caption and the texts it may be like, already tokenised: words between single spaces. */
export interface CaptionCase {
  readonly candidate: string;
  readonly references: readonly string[];
}

/** A score of each caption and of all together. */
export interface CaptionScores {
  readonly corpus: number;
  readonly each: readonly number[];
}

/** @throws EmuError INVALID_OPTION when there is no case, or a case without references. */
export function checkCases(metric: string, cases: readonly CaptionCase[]): void {
  if (cases.length === 0) {
    throw new EmuError('INVALID_OPTION', `[${metric}] needs at least one caption, got 0`);
  }
  const bare = cases.findIndex(({ references }) => references.length === 0);
  if (bare >= 0) {
    throw new EmuError(
      'INVALID_OPTION',
      `[${metric}] caption ${bare} has no references, at least 1 is needed`,
      {
        details: { caption: bare },
      },
    );
  }
}

/** The words of a text; white space of any length separates them. */
export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** How often each sequence of `length` words occurs. */
export function countNgrams(words: readonly string[], length: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let at = 0; at + length <= words.length; at++) {
    const ngram = words.slice(at, at + length).join(' ');
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/**
 * Lower case, punctuation removed, words between single spaces: what the drawn world's captions need before they are
 * scored. The Java tokenizer of the caption challenge is not reproduced.
 */
export function tokenizeCaption(text: string): string {
  return wordsOf(text.toLowerCase().replace(/[^\p{L}\p{N}' ]/gu, ' ')).join(' ');
}

/** The arithmetic mean; of nothing it is 0. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
