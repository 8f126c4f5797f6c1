import { EmuError } from '@emu/program';
import { contractions } from './contractions.js';
import { mean, wordsOf } from './corpus.js';

const marks = Array.from(';/[]"{}()=+\\_-><@`,?!');
const commaInNumber = /\p{Nd},\p{Nd}/u;
const stopAfterNothing = /\.(?!\p{Nd})/gu;
/** The original passes a flag where the count belongs, so at most this many full stops go. */
const stopLimit = 32;
const articles: ReadonlySet<string> = new Set(['a', 'an', 'the']);
const numbers: ReadonlyMap<string, string> = new Map(
  ['none', 'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'].map(
    (word, at) => [word, String(Math.max(0, at - 1))],
  ),
);

/** First half of the official normalisation: punctuation becomes nothing or a space. */
export function normalizePunctuation(text: string): string {
  const hasComma = commaInNumber.test(text);
  let out = text;
  for (const mark of marks) {
    const isLoose = text.includes(`${mark} `) || text.includes(` ${mark}`);
    out = out.replaceAll(mark, isLoose || hasComma ? '' : ' ');
  }
  let stops = 0;
  return out.replace(stopAfterNothing, (stop) => (stops++ < stopLimit ? '' : stop));
}

/** Second half: lower case, number words as digits, no articles, contractions with their apostrophes. */
export function normalizeWords(text: string): string {
  return wordsOf(text.toLowerCase())
    .map((word) => numbers.get(word) ?? word)
    .filter((word) => !articles.has(word))
    .map((word) => contractions.get(word) ?? word)
    .join(' ');
}

/** The whole official normalisation of an answer. */
export function normalizeAnswer(text: string): string {
  return normalizeWords(normalizePunctuation(text));
}

function withoutBreaks(text: string): string {
  return text.replace(/[\n\t]/g, ' ').trim();
}

/**
 * Accuracy of one answer against those of several people, 0..1: for each person, a third per other person who gave
 * the answer, at most 1; then the mean. As in the original, nothing is normalised when all people agree to the letter.
 * @throws EmuError INVALID_OPTION when there are no answers to compare with.
 * Source: GT-Vision-Lab/VQA vqaEval.py; equal to it.
 */
export function vqaAccuracy(result: string, answers: readonly string[]): number {
  if (answers.length === 0) throw new EmuError('INVALID_OPTION', '[vqa] needs at least one answer, got 0');
  const trimmed = answers.map(withoutBreaks);
  const isUnanimous = new Set(trimmed).size === 1;
  const given = isUnanimous ? withoutBreaks(result) : normalizeAnswer(withoutBreaks(result));
  const truths = isUnanimous ? trimmed : trimmed.map(normalizeAnswer);
  const matches = truths.filter((truth) => truth === given).length;
  return mean(truths.map((truth) => Math.min(1, (matches - (truth === given ? 1 : 0)) / 3)));
}
