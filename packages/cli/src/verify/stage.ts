import type { Goldens } from './goldens.js';
import type { Recorder } from './recorder.js';
import type { Subjects } from './subject.js';

export interface StageContext {
  readonly goldens: Goldens;
  readonly subjects: Subjects;
  readonly recorder: Recorder;
}

/** A part of the model with its reference cases. */
export interface Stage {
  readonly name: string;
  /** Other stages of the manifest whose tensors it records. */
  readonly covers?: readonly string[];
  /** Runs every case of the folder for this stage and records what came out. */
  run(context: StageContext): Promise<void>;
}
