import { setMaxListeners } from 'node:events';

import { EmuError } from '@emu/program';
import { nearestName, type Emu } from '@emu/sdk';

import { captionTest } from './captions.js';
import { contextTests } from './contexts.js';
import { fewShotTests } from './few-shot.js';
import { paintingTests } from './paintings.js';
import { questionTests } from './questions.js';
import { scoreKeys, type MeasuredScores, type ScoreKey } from './score.js';
import type { SuiteTest, TestSettings } from './suite-test.js';

const tests: readonly SuiteTest[] = [
  captionTest,
  ...questionTests,
  ...paintingTests,
  ...contextTests,
  ...fewShotTests,
];

/** Seed of the suite's samples and paintings unless another is asked for. */
export const suiteSeed = 20_251_123;
/** Samples of a test of texts, and denoising steps, unless others are asked for. */
export const suiteDefaults = { limit: 200, steps: 20 } as const;

/** How `runSuite` goes on. */
export interface SuiteProgress {
  readonly test: string;
  readonly completed: number;
  readonly total: number;
}

export interface SuiteOptions extends Partial<Omit<TestSettings, 'onItem'>> {
  /** Only these scores, and those that are measured together with them; default all. */
  readonly only?: readonly string[] | undefined;
  /** Scores that are known already; their tests are left out. */
  readonly known?: MeasuredScores | undefined;
  /** Whose vision features distances are measured in; default the model itself. */
  readonly judge?: Emu | undefined;
  readonly onProgress?: (progress: SuiteProgress) => void;
  /** Called after each test with all scores so far. */
  readonly onScores?: (scores: MeasuredScores) => Promise<void> | void;
}

/**
 * Names of scores, checked. A name with the suffix `_text_only` means the score of the compared model.
 * @throws EmuError INVALID_OPTION for a name that is no score, with the nearest.
 */
export function checkedScores(names: readonly string[]): readonly ScoreKey[] {
  return names.map((name) => {
    const bare = name.replace(/_text_only$/, '');
    const key = scoreKeys.find((each) => each === bare);
    if (key !== undefined) return key;
    const nearest = nearestName(bare, scoreKeys);
    throw new EmuError('INVALID_OPTION', `[eval] there is no score "${name}"`, {
      hint: nearest === undefined ? `Scores: ${scoreKeys.join(', ')}.` : `Did you mean ${nearest}?`,
      details: { name },
    });
  });
}

/**
 * Measures a model with the suite `tiny` on scenes that training never shows. Scores that take a visual decoder are left
 * out for a model without one.
 * @throws EmuError INVALID_OPTION for an unknown score or a limit that cannot be, what the model throws, or
 *   `signal.reason`.
 */
export async function runSuite(emu: Emu, options: SuiteOptions = {}): Promise<MeasuredScores> {
  const { limit = suiteDefaults.limit, steps = suiteDefaults.steps, seed = suiteSeed } = options;
  const { guidanceScale, onProgress, onScores } = options;
  const signal = sharedSignal(options.signal);
  if (!Number.isInteger(limit) || limit < 1 || limit > 100_000) {
    throw new EmuError('INVALID_OPTION', `[eval] limit must be a whole number in 1..100000, got ${limit}`, {
      details: { limit },
    });
  }
  const wanted = new Set(options.only === undefined ? scoreKeys : checkedScores(options.only));
  const canPaint = emu.model.has('unet') && emu.model.has('vae');
  let scores: MeasuredScores = options.known ?? {};
  for (const test of tests) {
    const isWanted = test.scores.some((key) => wanted.has(key));
    const isKnown = test.scores.every((key) => scores[key] !== undefined);
    if (!isWanted || isKnown || (test.paints && !canPaint)) continue;
    const settings: TestSettings = {
      limit,
      steps,
      seed,
      guidanceScale,
      signal,
      onItem: (completed, total) => onProgress?.({ test: test.name, completed, total }),
    };
    const measured = await test.run({ emu, judge: options.judge ?? emu }, settings);
    scores = { ...scores, ...measured };
    await onScores?.(scores);
  }
  return scores;
}

/** The signal for dozens of calls at a time, each of which listens to it; Node warns of more than ten listeners. */
function sharedSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  const shared = AbortSignal.any([signal]);
  setMaxListeners(0, shared);
  return shared;
}
