import { EmuError } from '@emu/program';

import { applyRules } from './logits-processors.js';
import { indexOfLargest, indicesOfLargest, softmax } from './probabilities.js';
import { extendTogether, Sequence } from './sequence.js';
import { logitsOf } from './token-loop.js';
import type { RowResult } from './step.js';
import { watchNothing, type TokenRun, type TokenTask, type TokenWatcher } from './token-run.js';

export interface ContrastiveOptions {
  /** Weight of the penalty on states that resemble earlier ones, 0..1. */
  readonly penaltyAlpha: number;
  /** Candidates per step. */
  readonly topK: number;
}

/**
 * Contrastive search (Su et al. 2022): of the topK likeliest tokens the one with the largest
 * (1 - alpha) * probability - alpha * (largest cosine of its final state with any state before it, prompt included).
 * Source: transformers v4.29.2 contrastive_search.
 */
export async function searchContrastively(
  task: TokenTask,
  options: ContrastiveOptions,
  watch: TokenWatcher = watchNothing,
): Promise<TokenRun> {
  let sequence = Sequence.open(task.decoder);
  let candidates: readonly Sequence[] = [];
  try {
    const prompt = await sequence.extendEvery(task.prompt, ['hidden'], task);
    // The last row again, for its logits alone: heads are applied to every row that wants anything.
    const states = prompt.map((result) => normalized(stateOf(result)));
    let logits = await lastLogits(sequence, task);
    const ids = [task.startId];
    for (;;) {
      const { tokens, probabilities } = likeliest(logits, ids, task, options.topK);
      candidates = tokens.map((_, index) => (index === 0 ? sequence : sequence.fork()));
      const results = await extendTogether(task.decoder, candidates, tokens, ['hidden', 'logits'], task);
      const next = results.map((result) => normalized(stateOf(result)));
      const scores = next.map((state, index) => {
        const penalty = Math.max(...states.map((earlier) => dot(state, earlier)));
        return (1 - options.penaltyAlpha) * (probabilities[index] ?? 0) - options.penaltyAlpha * penalty;
      });
      const chosen = indexOfLargest(scores);
      const [winner, id, state] = [candidates[chosen], tokens[chosen], next[chosen]];
      if (winner === undefined || id === undefined || state === undefined) throw noCandidate();
      for (const candidate of candidates) if (candidate !== winner) candidate.close();
      sequence = winner;
      candidates = [];
      states.push(state);
      ids.push(id);
      const halted = watch(id);
      const made = ids.slice(1);
      if (id === task.rules.endId) return { ids: made, end: 'stop' };
      if (halted) return { ids: made, end: 'halt' };
      if (made.length >= task.maxNewTokens) return { ids: made, end: 'length' };
      logits = logitsOf(results[chosen] ?? {});
    }
  } finally {
    for (const candidate of candidates) candidate.close();
    sequence.close();
  }
}

/** Runs the last position of the prompt once more; it writes the same keys and values. */
async function lastLogits(sequence: Sequence, task: TokenTask): Promise<Float32Array> {
  const last = task.prompt.at(-1);
  if (last === undefined) throw noCandidate();
  sequence.advance(-1);
  return logitsOf(await sequence.extend([last], ['logits'], task));
}

function likeliest(
  logits: Float32Array,
  ids: readonly number[],
  { rules }: TokenTask,
  count: number,
): { readonly tokens: readonly number[]; readonly probabilities: readonly number[] } {
  const scores = logits.slice();
  applyRules(scores, ids, rules);
  const probabilities = softmax(scores);
  const tokens = indicesOfLargest(probabilities, count);
  return { tokens, probabilities: tokens.map((token) => probabilities[token] ?? 0) };
}

function stateOf(result: RowResult): Float32Array {
  if (result.hidden === undefined) throw new EmuError('INTERNAL', '[generate] a step returned no state');
  return result.hidden;
}

function normalized(state: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(state, state));
  return state.map((value) => value / norm);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function noCandidate(): EmuError {
  return new EmuError('NON_FINITE', '[generate] no candidate has a score: the model gave NaN');
}
