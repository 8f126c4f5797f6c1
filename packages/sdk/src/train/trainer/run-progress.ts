import type { JsonValue } from '../json-value.js';
import type { CheckpointRecord } from '../run-folder/checkpoint-record.js';
import { MetricWindow } from './metric-window.js';
import type { StepResult } from './training-step.js';

type Totals = CheckpointRecord['totals'];

/** Where a run stands, beside its tensors. */
export class RunProgress {
  /** Optimizer steps made. */
  step = 0;
  position: JsonValue = null;
  totals: Totals = { samples: 0, tokens: 0, images: 0, seconds: 0 };
  window = new MetricWindow();
  #secondsPerStep: number | undefined;

  static from(record: CheckpointRecord): RunProgress {
    const progress = new RunProgress();
    progress.step = record.step;
    progress.position = record.position;
    progress.totals = record.totals;
    progress.window = new MetricWindow(record.window);
    return progress;
  }

  /** Counts a step that took `seconds`. */
  add({ terms, gradientNorm, counts, position }: StepResult, seconds: number): void {
    this.step += 1;
    this.position = position;
    const { samples, tokens, images } = this.totals;
    this.totals = {
      samples: samples + counts.samples,
      tokens: tokens + counts.tokens,
      images: images + counts.images,
      seconds: this.totals.seconds + seconds,
    };
    this.window.add({
      ...terms,
      grad_norm: gradientNorm,
      tokens: counts.tokens,
      samples: counts.samples,
      seconds,
    });
    // Smoothed over about ten steps; the first, which compiles programs, is soon forgotten.
    this.#secondsPerStep =
      this.#secondsPerStep === undefined ? seconds : 0.9 * this.#secondsPerStep + 0.1 * seconds;
  }

  etaSeconds(maxSteps: number): number {
    return (maxSteps - this.step) * (this.#secondsPerStep ?? 0);
  }

  /** The line of the log for the steps since the line before it; begins a new window. */
  metrics(learningRate: number): Record<string, number> {
    const {
      tokens = 0,
      samples = 0,
      seconds = 0,
      loss = NaN,
      grad_norm = NaN,
      ...terms
    } = this.window.means();
    this.window.clear();
    const rate = (amount: number): number => (seconds > 0 ? rounded(amount / seconds, 1) : 0);
    return {
      step: this.step,
      loss,
      ...terms,
      grad_norm,
      learning_rate: learningRate,
      tokens_per_second: rate(tokens),
      samples_per_second: rate(samples),
      samples: this.totals.samples,
      tokens: this.totals.tokens,
      images: this.totals.images,
      seconds: rounded(this.totals.seconds, 3),
    };
  }
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
