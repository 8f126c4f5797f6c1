import { EmuError } from '@emu/program';

/**
 * A sampler of the reverse process for one run: it holds the history of that run, so each picture needs its own.
 * Steps are taken in order, each once. All arithmetic is f32, as in diffusers 0.15.1, which the numbers agree with.
 */
export interface Scheduler {
  /** Timesteps for the U-Net, in the order of the calls; PNDM has more of them than the steps asked for. */
  readonly timesteps: readonly number[];
  /** Factor of the unit-normal start latents. */
  readonly initNoiseSigma: number;
  /** What the U-Net sees at this step; the sample itself for all schedulers but Euler. */
  scaleModelInput(sample: Float32Array, stepIndex: number): Float32Array;
  /** The sample after this step. modelOutput and sample have equal length and are not changed. */
  step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array): Float32Array;
}

/**
 * Guards the order of the calls and the lengths of the arrays.
 * @throws EmuError INVALID_OPTION for a step out of turn, TENSOR_SHAPE_MISMATCH for unequal lengths.
 */
export class StepOrder {
  #next = 0;
  #length: number | undefined;

  constructor(readonly count: number) {}

  /** Accepts step `stepIndex` or throws; to be called first in every `step`. */
  take(stepIndex: number, modelOutput: Float32Array, sample: Float32Array): void {
    if (stepIndex !== this.#next || stepIndex >= this.count) {
      const wanted = this.#next < this.count ? `step ${this.#next}` : 'no further step';
      throw new EmuError(
        'INVALID_OPTION',
        `[scheduler] step ${stepIndex} came when ${wanted} of ${this.count} was due`,
        {
          hint: 'Take the steps in order and create a scheduler for every run.',
          details: { stepIndex, due: this.#next, count: this.count },
        },
      );
    }
    this.#length ??= sample.length;
    if (sample.length !== this.#length || modelOutput.length !== this.#length) {
      throw new EmuError(
        'TENSOR_SHAPE_MISMATCH',
        `[scheduler] step ${stepIndex} has a sample of ${sample.length} and a model output of ` +
          `${modelOutput.length} elements; the run began with ${this.#length}`,
        { details: { stepIndex, sample: sample.length, modelOutput: modelOutput.length } },
      );
    }
    this.#next += 1;
  }
}

/** `array[index]`, where an index outside the array is a defect of ours and not of the caller. */
export function at(array: ArrayLike<number>, index: number): number {
  const value = array[index];
  if (value === undefined) {
    throw new EmuError('INTERNAL', `[scheduler] index ${index} outside a table of ${array.length}`);
  }
  return value;
}

/** Steps count from the table, evenly spaced from 0 with the whole-number ratio, as PNDM and DDIM space them. */
export function evenTimesteps(trainSteps: number, steps: number, offset: number): number[] {
  const ratio = Math.floor(trainSteps / steps);
  return Array.from({ length: steps }, (_, i) => i * ratio + offset);
}

/**
 * Refuses timesteps for which the noise table has no entry.
 * @throws EmuError INVALID_OPTION naming the largest one.
 */
export function checkTimesteps(timesteps: readonly number[], trainSteps: number, steps: number): void {
  const largest = timesteps.reduce((a, b) => Math.max(a, b), 0);
  if (largest >= trainSteps) {
    throw new EmuError(
      'INVALID_OPTION',
      `[scheduler] steps ${steps} needs timestep ${largest}, the noise table ends at ${trainSteps - 1}`,
      { hint: 'Ask for fewer steps.', details: { steps, largest, trainSteps } },
    );
  }
}
