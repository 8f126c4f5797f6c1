import { createHash } from 'node:crypto';

import { z } from 'zod';

const jsonValue = z.json();
const whole = z.int().min(0);

/** Sums of the steps since the last line of the log, by metric. */
const windowSums = z.record(z.string(), z.strictObject({ sum: z.number(), count: whole }));

/** Everything a run needs to go on, beside the tensors. */
const checkpointSchema = z.strictObject({
  format: z.literal('emu-training-checkpoint'),
  version: z.literal([1, 2]),
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

/** checkpoint.json: the record and its SHA-256, so that a damaged position is not taken for another one. */
export function recordText(record: CheckpointRecord): string {
  return `${JSON.stringify({ ...record, sha256: recordHash(record) }, null, 2)}\n`;
}

/**
 * The record of a checkpoint.json, and whether it is the one that was written; version 1 had no checksum.
 * @throws Error for a text that describes no checkpoint.
 */
export function parseRecord(text: string): { readonly record: CheckpointRecord; readonly isIntact: boolean } {
  const { sha256, ...content } = writtenRecord.parse(JSON.parse(text));
  const record = checkpointSchema.parse(content);
  const isIntact = sha256 === undefined ? record.version === 1 : sha256 === recordHash(content);
  return { record, isIntact };
}

const writtenRecord = z.looseObject({ sha256: z.string().optional() });

/** Of the content, whatever its white space. */
function recordHash(record: object): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex');
}
