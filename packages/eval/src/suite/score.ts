/** A range that holds the value of another draw of as many samples 95 times in 100, and the size of the draw. */
export interface Estimate {
  readonly value: number;
  /** Null where there are too few samples to say, or too many numbers. */
  readonly low: number | null;
  readonly high: number | null;
  /** Samples it was measured on. */
  readonly count: number;
}

/** One measured score with what it consists of, such as the accuracy of each kind of question. */
export interface MeasuredScore extends Estimate {
  readonly parts?: Readonly<Record<string, Estimate>>;
}

/** What a score should reach: a number, or to lie above or below another score of the same model. */
export type Target =
  | { readonly kind: 'at-least'; readonly value: number }
  | { readonly kind: 'above'; readonly score: ScoreKey }
  | { readonly kind: 'below'; readonly score: ScoreKey };

export interface ScoreDescription {
  readonly title: string;
  readonly target: Target | null;
}

const atLeast = (value: number): Target => ({ kind: 'at-least', value });

/** Every score of the suite `tiny`, in the order of its table. Accuracies and F1 are parts of 1. */
export const tinyScores = {
  caption_attribute_f1: { title: 'Captions: attribute F1', target: atLeast(0.95) },
  caption_cider: { title: 'Captions: CIDEr against 5 references', target: null },
  vqa_accuracy: { title: 'Questions about pictures', target: atLeast(0.95) },
  vqa_heldout_accuracy: { title: 'Questions, held-out combinations', target: atLeast(0.85) },
  video_qa_accuracy: { title: 'Questions about videos', target: atLeast(0.85) },
  t2i_single_accuracy: { title: 'Painted: one object, color and shape', target: atLeast(0.9) },
  t2i_relation_accuracy: { title: 'Painted: two objects and their relation', target: atLeast(0.6) },
  t2i_heldout_accuracy: { title: 'Painted: held-out combinations', target: atLeast(0.7) },
  t2i_frechet: {
    title: 'Painted: Fréchet distance to true renderings',
    target: { kind: 'below', score: 't2i_frechet_shuffled' },
  },
  t2i_frechet_shuffled: { title: 'The same from captions of shuffled words', target: null },
  incontext_style_accuracy: { title: "Style of the context's picture carried over", target: atLeast(0.6) },
  blend_both_parents: {
    title: 'Blends that show both parents',
    target: { kind: 'above', score: 'blend_single_parent' },
  },
  blend_single_parent: { title: 'Variations of one parent that show both', target: null },
  fewshot_accuracy_0: { title: 'New names, no example', target: null },
  fewshot_accuracy_2: {
    title: 'New names, 2 examples',
    target: { kind: 'above', score: 'fewshot_accuracy_0' },
  },
  fewshot_accuracy_4: {
    title: 'New names, 4 examples',
    target: { kind: 'above', score: 'fewshot_accuracy_2' },
  },
  fewshot_accuracy_8: {
    title: 'New names, 8 examples',
    target: { kind: 'above', score: 'fewshot_accuracy_4' },
  },
} as const satisfies Readonly<Record<string, { title: string; target: unknown }>>;

export type ScoreKey = keyof typeof tinyScores;

/** Every key of the suite, in the order of its table. */
export const scoreKeys = Object.keys(tinyScores) as readonly ScoreKey[];

export function describeScore(key: ScoreKey): ScoreDescription {
  return tinyScores[key];
}

export type MeasuredScores = Readonly<Partial<Record<ScoreKey, MeasuredScore>>>;

/** Whether a score reaches its target; null for a score without one, or one that was not measured. */
export function meetsTarget(key: ScoreKey, scores: MeasuredScores): boolean | null {
  const { target } = describeScore(key);
  const value = scores[key]?.value;
  if (target === null || value === undefined) return null;
  if (target.kind === 'at-least') return value >= target.value;
  const other = scores[target.score]?.value;
  if (other === undefined) return null;
  return target.kind === 'above' ? value > other : value < other;
}
