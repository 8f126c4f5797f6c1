import { EmuError } from '@emu/program';

import { applyRules, forbidTokens, type TokenRules } from './logits-processors.js';
import { indexOfLargest } from './probabilities.js';
import { drawKey, drawToken, weightsOf, type SamplingOptions } from './sampling.js';
import { Scratch } from './scratch.js';
import { Sequence } from './sequence.js';
import type { RowOutput, RowResult } from './step.js';
import { watchNothing, type TokenRun, type TokenTask, type TokenWatcher } from './token-run.js';

/** A way of choosing the next token of a sequence. */
export interface TokenChooser {
  /** Results that it chooses by. */
  readonly wanted: readonly RowOutput[];
  /** Of the probabilities that are wanted. */
  readonly temperature?: number;
  /**
   * The next token under the rules; -1 where none can be chosen. `result` is lent for the call; `ids` are the tokens so
   * far with <s> first.
   */
  readonly choose: (result: RowResult, ids: readonly number[], rules: TokenRules) => number;
}

/** The most likely token. */
export const chooseBest: TokenChooser = {
  wanted: ['logits'],
  choose(result, ids, rules) {
    const scores = ruledScores(result, ids, rules);
    const id = indexOfLargest(scores);
    return scores[id] === -Infinity ? -1 : id;
  },
};

/** Where rules leave less than this of the probability, single precision has left too little of the rest. */
const leastProbability = 1e-6;

/** A token drawn with a seed; see sampling.ts. */
export function chooseAtRandom(options: SamplingOptions, seed: bigint, sequence: number): TokenChooser {
  const { temperature } = options;
  const key = drawKey(seed);
  return {
    // The kernels make the probabilities: for 32 000 tokens, powers of e would hold up the event loop for a millisecond.
    wanted: ['logits', 'probabilities'],
    temperature,
    choose(result, ids, rules) {
      const place = { key, sequence, position: ids.length - 1 };
      const weights = weightScratch.take(logitsOf(result).length);
      if (rules.repetitionPenalty === 1) {
        weights.set(probabilitiesOf(result));
        forbidTokens(weights, ids, rules, 0);
        const id = drawToken(weights, options, place, leastProbability);
        if (id >= 0) return id;
      }
      return drawToken(weightsOf(ruledScores(result, ids, rules), temperature, weights), options, place);
    },
  };
}

const scoreScratch = new Scratch((length) => new Float32Array(length));
const weightScratch = new Scratch((length) => new Float32Array(length));

/** The logits under the rules, in memory that the next call writes. */
export function ruledScores(result: RowResult, ids: readonly number[], rules: TokenRules): Float32Array {
  const logits = logitsOf(result);
  const scores = scoreScratch.take(logits.length);
  scores.set(logits);
  applyRules(scores, ids, rules);
  return scores;
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
    const { temperature } = choose;
    const first = await sequence.prefill(task.prompt, choose.wanted, {
      ...task,
      temperature,
      borrowed: true,
    });
    return await continueTokens(sequence, first, task, choose, watch);
  } finally {
    sequence.close();
  }
}

async function continueTokens(
  sequence: Sequence,
  first: RowResult,
  task: TokenTask,
  choose: TokenChooser,
  watch: TokenWatcher,
): Promise<TokenRun> {
  const ids = [task.startId];
  let result = first;
  for (;;) {
    const id = chooseToken(result, ids, task, choose);
    ids.push(id);
    const halted = watch(id);
    if (id === task.rules.endId) return { ids: ids.slice(1), end: 'stop' };
    if (halted) return { ids: ids.slice(1), end: 'halt' };
    if (ids.length > task.maxNewTokens) return { ids: ids.slice(1), end: 'length' };
    const next = await resultAfter(sequence, id, task, choose);
    if (next === undefined) return { ids: ids.slice(1), end: 'length' };
    result = next;
  }
}

function resultAfter(
  sequence: Sequence,
  id: number,
  { imageHook, signal }: TokenTask,
  { wanted, temperature }: TokenChooser,
): Promise<RowResult | undefined> {
  if (imageHook !== undefined && id === imageHook.imageStartId)
    return imageHook.makeImage(sequence, wanted, { temperature });
  return sequence.extend([id], wanted, { temperature, signal, borrowed: true });
}

/**
 * One choice under the rules. ids: the tokens so far with <s> first.
 * @throws EmuError NON_FINITE when the model gave no number to choose by.
 */
export function chooseToken(
  result: RowResult,
  ids: readonly number[],
  { rules }: Pick<TokenTask, 'rules'>,
  { choose }: TokenChooser,
): number {
  const id = choose(result, ids, rules);
  if (id >= 0) return id;
  throw new EmuError(
    'NON_FINITE',
    `[generate] no token can follow ${ids.length - 1} tokens: all scores that may be chosen are NaN`,
  );
}

function probabilitiesOf({ probabilities }: RowResult): Float32Array {
  if (probabilities === undefined)
    throw new EmuError('INTERNAL', '[generate] a step returned no probabilities');
  return probabilities;
}

export function logitsOf(result: RowResult): Float32Array {
  if (result.logits === undefined) throw new EmuError('INTERNAL', '[generate] a step returned no logits');
  return result.logits;
}
