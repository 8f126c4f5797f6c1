import { indicesOfLargest, logSoftmax } from './probabilities.js';
import type { RowOutput } from './step.js';
import { ruledScores, type TokenChooser } from './token-loop.js';

/** A token and the natural logarithm of its probability. */
export interface TokenProbability {
  readonly id: number;
  readonly logprob: number;
}

/** How likely a chosen token was, and the likeliest in its place, best first. */
export interface TokenDetails extends TokenProbability {
  readonly alternatives: readonly TokenProbability[];
}

/**
 * A chooser that chooses as `chooser` does and tells of the probabilities it saw: after penalties and limits, before
 * temperature, topK and topP.
 * topLogprobs: how many alternatives are told of.
 */
export function tellingChooser(
  chooser: TokenChooser,
  topLogprobs: number,
  tell: (details: TokenDetails) => void,
): TokenChooser {
  return {
    ...chooser,
    wanted: [...new Set<RowOutput>([...chooser.wanted, 'logits'])],
    choose(result, ids, rules) {
      const id = chooser.choose(result, ids, rules);
      const logprobs = logSoftmax(ruledScores(result, ids, rules));
      const of = (token: number): TokenProbability => ({ id: token, logprob: logprobs[token] ?? -Infinity });
      const likeliest = topLogprobs > 0 ? indicesOfLargest(logprobs, topLogprobs) : [];
      // A token that the limits forbid is no alternative.
      tell({ ...of(id), alternatives: likeliest.map(of).filter(({ logprob }) => logprob > -Infinity) });
      return id;
    },
  };
}
