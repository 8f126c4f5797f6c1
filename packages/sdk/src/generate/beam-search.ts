import { BeamHypotheses } from './beam-hypotheses.js';
import { applyRules } from './logits-processors.js';
import { logSoftmax } from './probabilities.js';
import { extendTogether, Sequence } from './sequence.js';
import { logitsOf } from './token-loop.js';
import type { TokenRun, TokenTask } from './token-run.js';

export interface BeamOptions {
  readonly numBeams: number;
  /** Above 0 favours long sequences: log-probabilities are negative. */
  readonly lengthPenalty: number;
  /** Sequences to return, at most numBeams. */
  readonly numReturn: number;
  readonly earlyStopping?: boolean;
}

interface Beam {
  readonly sequence: Sequence;
  /** <s> first. */
  readonly ids: readonly number[];
  /** Sum of log-probabilities after the rules, f32 as in the reference. */
  readonly sum: number;
  readonly logits: Float32Array;
}

interface Candidate {
  readonly beam: Beam;
  readonly token: number;
  readonly sum: number;
}

/**
 * Beam search; the best sequences, best first. Beams are rows of the same flat batch and share the pages of what they
 * have in common.
 * Source: transformers v4.29.2 beam_search and BeamSearchScorer. Candidates that a rule forbids are left out, where
 * the reference carries them along with a score of -Infinity.
 */
export async function searchBeams(task: TokenTask, options: BeamOptions): Promise<readonly TokenRun[]> {
  const { numBeams, lengthPenalty, earlyStopping = false } = options;
  const hypotheses = new BeamHypotheses(numBeams, lengthPenalty, earlyStopping);
  const longest = task.maxNewTokens + 1; // counts <s>
  const opened = Sequence.open(task.decoder);
  let open: readonly Sequence[] = [opened];
  try {
    const first = await opened.prefill(task.prompt, ['logits'], task);
    let beams: readonly Beam[] = [{ sequence: opened, ids: [task.startId], sum: 0, logits: logitsOf(first) }];
    for (;;) {
      const candidates = bestCandidates(beams, task, 2 * numBeams);
      const next = sortOut(candidates, numBeams, task.rules.endId, hypotheses);
      const isDone = hypotheses.isDone(candidates[0]?.sum ?? -Infinity, (beams[0]?.ids.length ?? 1) + 1);
      const isFull = (next[0]?.beam.ids.length ?? longest) + 1 >= longest;
      if (isDone || next.length === 0) break;
      if (isFull) {
        for (const { beam, token, sum } of next) hypotheses.add([...beam.ids, token], sum);
        break;
      }
      const sequences = branch(beams, next);
      open = sequences;
      const tokens = next.map(({ token }) => token);
      const results = await extendTogether(task.decoder, sequences, tokens, ['logits'], task);
      beams = next.map(({ beam, token, sum }, index) => ({
        sequence: sequences[index] ?? opened,
        ids: [...beam.ids, token],
        sum,
        logits: logitsOf(results[index] ?? {}),
      }));
    }
  } finally {
    for (const sequence of open) sequence.close();
  }
  return hypotheses.best(options.numReturn).map(({ ids, score }) => ({
    ids: ids.length < longest ? [...ids.slice(1), task.rules.endId] : ids.slice(1),
    end: ids.length < longest ? 'stop' : 'length',
    score,
  }));
}

/** The best continuations over all beams, falling; of equals the earlier beam, then the lower token. */
function bestCandidates(beams: readonly Beam[], { rules }: TokenTask, count: number): readonly Candidate[] {
  const best: Candidate[] = [];
  for (const beam of beams) {
    const scores = logSoftmax(beam.logits);
    applyRules(scores, beam.ids, rules);
    let worst = best.length < count ? -Infinity : (best.at(-1)?.sum ?? -Infinity);
    for (let token = 0; token < scores.length; token++) {
      const sum = Math.fround((scores[token] ?? -Infinity) + beam.sum);
      if (!(sum > worst)) continue;
      let place = best.length;
      while (place > 0 && sum > (best[place - 1]?.sum ?? Infinity)) place--;
      best.splice(place, 0, { beam, token, sum });
      if (best.length > count) best.pop();
      if (best.length === count) worst = best.at(-1)?.sum ?? -Infinity;
    }
  }
  return best;
}

/** Ended candidates become hypotheses if they are among the first `numBeams`; returns those that go on. */
function sortOut(
  candidates: readonly Candidate[],
  numBeams: number,
  endId: number,
  hypotheses: BeamHypotheses,
): readonly Candidate[] {
  const next: Candidate[] = [];
  for (const [rank, candidate] of candidates.entries()) {
    if (candidate.token !== endId) next.push(candidate);
    else if (rank < numBeams) hypotheses.add(candidate.beam.ids, candidate.sum);
    if (next.length === numBeams) break;
  }
  return next;
}

/**
 * A sequence for every candidate: the first child of a beam takes over its sequence, the others fork it. Beams
 * without children are closed first, so that never more slots are taken than there are beams.
 */
function branch(beams: readonly Beam[], next: readonly Candidate[]): readonly Sequence[] {
  for (const { sequence } of beams) {
    if (!next.some(({ beam }) => beam.sequence === sequence)) sequence.close();
  }
  const taken = new Set<Sequence>();
  const forks: Sequence[] = [];
  try {
    return next.map(({ beam: { sequence } }) => {
      if (!taken.has(sequence)) {
        taken.add(sequence);
        return sequence;
      }
      const fork = sequence.fork();
      forks.push(fork);
      return fork;
    });
  } catch (error) {
    for (const fork of forks) fork.close(); // the caller closes only what it knows of
    throw error;
  }
}
