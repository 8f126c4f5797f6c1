import { z } from 'zod';

const jsonValue = z.json();
const whole = z.int().min(0);

/** Sums of the steps since the last line of the log, by metric. */
const windowSums = z.record(z.string(), z.strictObject({ sum: z.number(), count: whole }));

/** checkpoint.json: everything a run needs to go on, beside the tensors. */
export const checkpointSchema = z.strictObject({
  format: z.literal('emu-training-checkpoint'),
  version: z.literal(1),
  /** Optimizer steps made. */
  step: whole,
  task: z.string(),
  /** The keys of the recipe that decide what is computed; another recipe cannot go on from here unasked. */
  recipe: z.record(z.string(), jsonValue),
  /** Where the data goes on, as the task's stream says it; null at the start. */
  position: jsonValue,
  totals: z.strictObject({ samples: whole, tokens: whole, images: whole, seconds: z.number().min(0) }),
  window: windowSums,
  /** Bytes of each log that belong to the steps so far. */
  logs: z.record(z.string(), whole),
  tensors: z.strictObject({ file: z.string().regex(/^[\w.-]+$/), bytes: whole, sha256: z.string() }),
});

export type CheckpointRecord = z.output<typeof checkpointSchema>;
