import type { Emu } from '@emu/sdk';

import type { MeasuredScores, ScoreKey } from './score.js';

/** How much is measured, and how pictures are painted. */
export interface TestSettings {
  /** Samples of a test of texts; a test of paintings takes half as many, since each takes far longer. */
  readonly limit: number;
  /** Seed of samples and paintings. */
  readonly seed: number;
  /** Denoising steps. */
  readonly steps: number;
  /** Weight of guidance; absent: what the model's generation_config.json says. */
  readonly guidanceScale?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called after each answer or painting. */
  readonly onItem: (completed: number, total: number) => void;
}

/** What a test runs on. */
export interface TestSubject {
  readonly emu: Emu;
  /** Whose vision features the Fréchet distance is measured in: the same model for both sides of a comparison. */
  readonly judge: Emu;
}

/** A stretch of the suite that yields some of its scores at once. */
export interface SuiteTest {
  readonly name: string;
  readonly scores: readonly ScoreKey[];
  /** Whether it takes a visual decoder. */
  readonly paints: boolean;
  run(subject: TestSubject, settings: TestSettings): Promise<MeasuredScores>;
}
