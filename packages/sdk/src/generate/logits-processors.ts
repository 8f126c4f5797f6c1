/*
 * Changes to the scores of the next token, as transformers v4.29.2 makes them (generation/logits_process.py).
 * `scores` f32[V] is changed in place: logits in greedy search, log-probabilities in beam search. A token that is
 * forbidden gets -Infinity; where probabilities are changed, `forbidden` is 0. `ids` are the tokens generated so far with
 * <s> first; the prompt is not among them, for it enters as embeddings.
 */

/**
 * Makes tokens that occurred less likely (Keskar et al. 2019): a negative score times `penalty`, a positive one divided
 * by it, once per token however often it occurred. penalty > 0; 1 changes nothing.
 */
export function penalizeRepetition(scores: Float32Array, ids: readonly number[], penalty: number): void {
  if (penalty === 1) return;
  const factor = Math.fround(penalty);
  for (const id of new Set(ids)) {
    const score = scores[id];
    if (score === undefined) continue;
    scores[id] = score < 0 ? score * factor : score / factor;
  }
}

/** Forbids every token that would repeat a run of `size` tokens. size 0 changes nothing. */
export function forbidRepeatedRuns(
  scores: Float32Array,
  ids: readonly number[],
  size: number,
  forbidden = -Infinity,
): void {
  if (size === 0 || ids.length + 1 < size) return;
  const prefix = size - 1;
  const last = ids.length - prefix;
  for (let start = 0; start + prefix < ids.length; start++) {
    let same = true;
    for (let i = 0; i < prefix && same; i++) same = ids[start + i] === ids[last + i];
    const next = ids[start + prefix];
    if (same && next !== undefined) scores[next] = forbidden;
  }
}

/** Forbids `endId` while fewer than `minLength` tokens are there; `ids` begins with <s>, which counts. */
export function holdEnd(
  scores: Float32Array,
  ids: readonly number[],
  minLength: number,
  endId: number,
  forbidden = -Infinity,
): void {
  if (ids.length < minLength) scores[endId] = forbidden;
}

/** Forbids all tokens but `allowed`. */
function allowOnly(scores: Float32Array, allowed: readonly number[], forbidden: number): void {
  const kept = allowed.map((id) => scores[id] ?? forbidden);
  scores.fill(forbidden);
  for (const [index, id] of allowed.entries()) scores[id] = kept[index] ?? forbidden;
}

/** What the next token must obey, whatever chooses it. */
export interface TokenRules {
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  /** Counts <s>: 8 makes seven tokens come before </s>. */
  readonly minLength: number;
  /** </s>. */
  readonly endId: number;
  /** Tokens that the tokenizer knows; a model may have rows for more, which have no text. Absent: all of the model's. */
  readonly vocabularySize?: number;
  /** Tokens that may come after the ones given (without <s>); absent: all. */
  readonly allowedAfter?: ((generated: readonly number[]) => readonly number[]) | undefined;
}

/** Applies all rules in transformers' order: repetition, n-grams, minimum length, allowed tokens. */
export function applyRules(scores: Float32Array, ids: readonly number[], rules: TokenRules): void {
  penalizeRepetition(scores, ids, rules.repetitionPenalty);
  forbidTokens(scores, ids, rules, -Infinity);
}

/** Applies the rules that forbid tokens: all but repetition. */
export function forbidTokens(
  scores: Float32Array,
  ids: readonly number[],
  rules: TokenRules,
  forbidden: number,
): void {
  if (rules.vocabularySize !== undefined) scores.fill(forbidden, rules.vocabularySize);
  forbidRepeatedRuns(scores, ids, rules.noRepeatNgramSize, forbidden);
  holdEnd(scores, ids, rules.minLength, rules.endId, forbidden);
  if (rules.allowedAfter !== undefined) allowOnly(scores, rules.allowedAfter(ids.slice(1)), forbidden);
}
