import { EmuError } from '@emu/program';

import type { TrainingBatch } from '../task.js';
import type { LossTerms, TrainingSession } from './training-session.js';

/** What went wrong in a step before its update, if anything did. */
export function nonFinite(
  terms: readonly LossTerms[],
  squares: ReadonlyMap<string, number>,
): { readonly what: string; readonly value: number; readonly microBatch: number | undefined } | undefined {
  for (const [microBatch, values] of terms.entries()) {
    for (const [name, value] of Object.entries(values)) {
      if (!Number.isFinite(value)) return { what: name, value, microBatch };
    }
  }
  for (const [name, value] of squares) {
    if (!Number.isFinite(value)) return { what: `the gradient of ${name}`, value, microBatch: undefined };
  }
  return undefined;
}

/**
 * Runs the micro-batches of a step once more, looking at every call, and says which op of which batch was the first to
 * make a NaN or an infinity. The parameters are still those before the step.
 */
export async function explainNonFinite(
  session: TrainingSession,
  step: number,
  batches: readonly TrainingBatch[],
  found: NonNullable<ReturnType<typeof nonFinite>>,
  lastCheckpoint: string | undefined,
): Promise<EmuError> {
  const suspects =
    found.microBatch === undefined ? batches : batches.slice(found.microBatch, found.microBatch + 1);
  let label = suspects.map((batch) => batch.label).join(', ');
  let cause: unknown;
  try {
    await session.startStep();
    for (const batch of suspects) {
      label = batch.label;
      await session.accumulate(batch, 'finite');
    }
    // Every call was finite: the sum over micro-batches, or of the squares, was not.
    label = suspects.map((batch) => batch.label).join(', ');
  } catch (error) {
    cause = error;
  }
  const first = EmuError.isInstance(cause) && cause.code === 'NON_FINITE' ? `; first ${cause.message}` : '';
  return new EmuError(
    'NON_FINITE',
    `[train] step ${step}: ${found.what} is ${found.value} in batch ${JSON.stringify(label)}${first}`,
    {
      hint:
        lastCheckpoint === undefined
          ? 'Lower the learning rate or lengthen the warm-up; there is no checkpoint yet.'
          : `The last good checkpoint is ${lastCheckpoint}; lower the learning rate or look at that batch.`,
      details: {
        step,
        what: found.what,
        value: String(found.value),
        batch: label,
        lastCheckpoint,
        ...(EmuError.isInstance(cause) ? cause.details : {}),
      },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
