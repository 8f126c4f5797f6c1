import { EmuError } from '@emu/program';

import { applyRules } from './logits-processors.js';
import { indexOfLargest } from './probabilities.js';
import { drawToken, type SamplingOptions } from './sampling.js';
import { Scratch } from './scratch.js';
import { Sequence } from './sequence.js';
import type { RowResult } from './step.js';
import { watchNothing, type TokenRun, type TokenTask, type TokenWatcher } from './token-run.js';

/** Chooses the next token; `position` counts the tokens made so far. The scores are lent for the call. */
export type TokenChooser = (scores: Float32Array, position: number) => number;

/** The most likely token. */
export const chooseBest: TokenChooser = (scores) => indexOfLargest(scores);

/** A token drawn with a seed; see sampling.ts. */
export function chooseAtRandom(options: SamplingOptions, seed: bigint, sequence: number): TokenChooser {
  return (scores, position) => drawToken(scores, options, { seed, sequence, position });
}

/**
 * Makes tokens one by one: the rules change the logits, the chooser takes one.
 * Source: transformers v4.29.2 greedy_search and sample.
 */
export async function makeTokens(
  task: TokenTask,
  choose: TokenChooser,
  watch: TokenWatcher = watchNothing,
): Promise<TokenRun> {
  const sequence = Sequence.open(task.decoder);
  try {
    const first = logitsOf(await sequence.prefill(task.prompt, ['logits'], { ...task, borrowed: true }));
    return await continueTokens(sequence, first, task, choose, watch);
  } finally {
    sequence.close();
  }
}

async function continueTokens(
  sequence: Sequence,
  firstLogits: Float32Array,
  task: TokenTask,
  choose: TokenChooser,
  watch: TokenWatcher,
): Promise<TokenRun> {
  const ids = [task.startId];
  let logits = firstLogits;
  for (;;) {
    const id = chooseToken(logits, ids, task, choose);
    ids.push(id);
    const halted = watch(id);
    if (id === task.rules.endId) return { ids: ids.slice(1), end: 'stop' };
    if (halted) return { ids: ids.slice(1), end: 'halt' };
    if (ids.length > task.maxNewTokens) return { ids: ids.slice(1), end: 'length' };
    const next = await logitsAfter(sequence, id, task);
    if (next === undefined) return { ids: ids.slice(1), end: 'length' };
    logits = next;
  }
}

async function logitsAfter(
  sequence: Sequence,
  id: number,
  task: TokenTask,
): Promise<Float32Array | undefined> {
  const { imageHook } = task;
  if (imageHook !== undefined && id === imageHook.imageStartId) return imageHook.makeImage(sequence);
  return logitsOf(await sequence.extend([id], ['logits'], { signal: task.signal, borrowed: true }));
}

const scoreScratch = new Scratch((length) => new Float32Array(length));

/**
 * One choice under the rules. ids: the tokens so far with <s> first.
 * @throws EmuError NON_FINITE when the model gave no number to choose by.
 */
export function chooseToken(
  logits: Float32Array,
  ids: readonly number[],
  { rules }: Pick<TokenTask, 'rules'>,
  choose: TokenChooser,
): number {
  const scores = scoreScratch.take(logits.length);
  scores.set(logits);
  applyRules(scores, ids, rules);
  const id = choose(scores, ids.length - 1);
  if (id >= 0 && scores[id] !== -Infinity) return id;
  throw new EmuError(
    'NON_FINITE',
    `[generate] no token can follow ${ids.length - 1} tokens: all scores that may be chosen are NaN`,
  );
}

export function logitsOf(result: RowResult): Float32Array {
  if (result.logits === undefined) throw new EmuError('INTERNAL', '[generate] a step returned no logits');
  return result.logits;
}
