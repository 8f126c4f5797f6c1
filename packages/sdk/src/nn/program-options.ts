import type { Tracer, Value } from '@emu/program';

import { singlePrecision, type Precision } from './parameters.js';

/** What every model program can be asked for besides its sizes. */
export interface ModelProgramOptions {
  /** Dtype of the matrices; f32 unless said. Must be that of the weights in the session. */
  readonly precision?: Precision;
  /** Adds an output for every inner stage that the reference data names, such as `vit.block0`. */
  readonly stages?: boolean;
}

/** The precision asked for, else f32. */
export function precisionOf(options: ModelProgramOptions): Precision {
  return options.precision ?? singlePrecision;
}

/** Told of a value at every named stage of a model; an output of the program when stages were asked for. */
export type StageProbe = (stage: string, value: Value) => void;

/** Makes named stages outputs of the program if the options ask for them, else ignores them. */
export function stageProbe(tracer: Tracer, options: ModelProgramOptions): StageProbe {
  if (options.stages !== true) return () => undefined;
  return (stage, value) => {
    tracer.output(stage, value);
  };
}
