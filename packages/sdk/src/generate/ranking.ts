import { EmuError } from '@emu/program';

import { Sequence } from './sequence.js';
import type { Decoder, Element, Row, StepOptions } from './step.js';

/** A candidate with what the model thinks of it. */
export interface RankedCandidate {
  /** Index in the list that was given. */
  readonly index: number;
  /** Tokens of the candidate. */
  readonly tokenCount: number;
  /** log p(candidate | prompt): natural, at most 0. */
  readonly logProbability: number;
  /** -logProbability / tokenCount: comparable between candidates of different length. */
  readonly meanLoss: number;
  /**
   * The number the authors rank by: the sum of losses over all positions but one, prompt and padding included, as
   * masked positions stay in their mean. It makes long candidates lose.
   */
  readonly authorsLoss: number;
}

export interface RankingOptions extends StepOptions {
  /**
   * Groups that the authors pad and average by themselves; candidates are dealt out in order, the last group takes
   * what is left. Their VisDial evaluation has as many groups as candidates. Only `authorsLoss` depends on it. Default 1.
   */
  readonly segments?: number;
  /** Sequences at a time. */
  readonly slots: number;
}

/**
 * Scores candidate continuations of a prompt, in the order given. The prompt runs once, candidates share its cache.
 * prompt: elements with <s>; candidates: token ids without <s>.
 * @throws EmuError INVALID_PROMPT for a prompt or candidate without tokens.
 * Source: Emu1/models/prediction_mixin.py and modeling_llama.py:113-116.
 */
export async function scoreCandidates(
  decoder: Decoder,
  prompt: readonly Element[],
  candidates: readonly (readonly number[])[],
  options: RankingOptions,
): Promise<readonly RankedCandidate[]> {
  const last = prompt.at(-1);
  const empty = candidates.findIndex((candidate) => candidate.length === 0);
  if (last === undefined || empty >= 0) {
    throw new EmuError(
      'INVALID_PROMPT',
      last === undefined ? '[score] the prompt is empty' : `[score] candidate ${empty} has no token`,
      {
        details: { candidate: empty },
      },
    );
  }
  const shared = Sequence.open(decoder);
  try {
    const head = prompt.slice(0, -1);
    if (head.length > 0) await shared.prefill(head, [], options);
    const sums: number[] = [];
    for (let start = 0; start < candidates.length; start += options.slots) {
      const group = candidates.slice(start, start + options.slots);
      sums.push(...(await sumsOfLosses(decoder, shared, last, group, options)));
    }
    return withMeans(prompt.length, candidates, sums, options.segments ?? 1);
  } finally {
    shared.close();
  }
}

async function sumsOfLosses(
  decoder: Decoder,
  shared: Sequence,
  last: Element,
  candidates: readonly (readonly number[])[],
  options: StepOptions,
): Promise<readonly number[]> {
  const forks: Sequence[] = [];
  try {
    const rows: Row[] = [];
    for (const candidate of candidates) {
      const fork = shared.fork();
      forks.push(fork);
      const inputs = [last, ...candidate.slice(0, -1)];
      const predicting = fork.rows(inputs, ['losses'], { every: true });
      for (const [index, row] of predicting.entries())
        rows.push({ ...row, target: candidate[index] ?? -100 });
    }
    const results = await decoder.step(rows, options);
    let start = 0;
    return candidates.map(({ length }) => {
      const losses = results.slice(start, start + length).map(({ losses: loss }) => loss?.[0] ?? NaN);
      start += length;
      return losses.reduce((sum, loss) => sum + loss, 0);
    });
  } finally {
    for (const fork of forks) fork.close();
  }
}

function withMeans(
  promptLength: number,
  candidates: readonly (readonly number[])[],
  sums: readonly number[],
  segments: number,
): readonly RankedCandidate[] {
  const size = Math.max(1, Math.floor(candidates.length / segments));
  const segmentOf = (index: number): number => Math.min(Math.floor(index / size), segments - 1);
  return candidates.map(({ length }, index) => {
    const together = candidates.filter((_, other) => segmentOf(other) === segmentOf(index));
    const longest = Math.max(...together.map((candidate) => candidate.length));
    const sum = sums[index] ?? NaN;
    return {
      index,
      tokenCount: length,
      logProbability: -sum,
      meanLoss: sum / length,
      authorsLoss: sum / (promptLength + longest - 1),
    };
  });
}
