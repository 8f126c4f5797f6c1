import type { TrainingSample } from '../task.js';
import type { LossTerms } from './training-session.js';

/** What a run tells while it goes on; the same union everywhere. */
export type TrainingEvent =
  | {
      readonly type: 'started';
      readonly task: string;
      readonly folder: string;
      /** Steps that were made before. */
      readonly step: number;
      readonly maxSteps: number;
      readonly trainedParameters: number;
      readonly frozenParameters: number;
      /** Folder of the checkpoint that the run goes on from. */
      readonly resumedFrom: string | null;
    }
  | {
      readonly type: 'step';
      /** Steps made, this one included. */
      readonly step: number;
      readonly maxSteps: number;
      readonly terms: LossTerms;
      /** Before clipping. */
      readonly gradientNorm: number;
      readonly learningRate: number;
      readonly tokensPerSecond: number;
      readonly etaSeconds: number;
    }
  /**
   * A line of metrics.jsonl. Means over the steps since the line before: `loss` and its terms such as `loss.text`,
   * `grad_norm` before clipping, `tokens_per_second`, `samples_per_second`. As they are now: `step`, `learning_rate`
   * (the recipe's times the schedule's factor) and, since the start of the run over all its processes, `samples`,
   * `tokens`, `images` and `seconds` spent in steps. Or `step` and the losses on held-out data, `eval_loss` and terms.
   */
  | { readonly type: 'metrics'; readonly metrics: Readonly<Record<string, number>> }
  | { readonly type: 'checkpoint'; readonly step: number; readonly folder: string }
  | {
      readonly type: 'samples';
      readonly step: number;
      readonly folder: string;
      readonly samples: readonly TrainingSample[];
    }
  | { readonly type: 'warning'; readonly message: string }
  | {
      readonly type: 'finished';
      readonly step: number;
      readonly model: string;
      readonly report: string;
      /** Last metrics of the run. */
      readonly metrics: Readonly<Record<string, number>>;
    };

export type TrainingWatcher = (event: TrainingEvent) => void;
