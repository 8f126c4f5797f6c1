import { forbidRepeatedRuns, holdEnd, penalizeRepetition, samplingProbabilities } from '@emu/sdk/generate';

import type { Stage, StageContext } from '../stage.js';

const file = 'llm.safetensors';
// How the files spell -Infinity.
const forbidden = Math.fround(-1e30);

/** What sampling keeps: top-p, top-k and temperature on the reference's own logits. */
export const samplingStage: Stage = {
  name: 'sampling',
  async run({ goldens, recorder }) {
    const logits = await goldens.input(file, 'logits_last3');
    const vocabulary = logits.shape.at(-1) ?? 0;
    const last = (logits.data as Float32Array).slice(-vocabulary);
    const cases = goldens.names(file).filter((name) => /^sample\..*\.ids$/.test(name));
    for (const name of cases) {
      const probsName = name.replace(/ids$/, 'probs');
      const probabilities = samplingProbabilities(last, optionsOf(name));
      const kept = [...probabilities.keys()].filter((id) => (probabilities[id] ?? 0) > 0);
      kept.sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0) || a - b);
      const golden = await goldens.tensor(file, name);
      const ids =
        golden === undefined ? kept : orderedAlike(kept, Array.from(golden.data, Number), probabilities);
      await recorder.integers(file, name, [ids.length], ids);
      const values = Float32Array.from(ids, (id) => probabilities[id] ?? 0);
      await recorder.floats(file, probsName, [ids.length], values);
    }
  },
};

/**
 * Ours in the golden order, if the two differ only among tokens as likely as one another: which of them comes first is
 * an accident of rounding and of an unstable sort.
 */
function orderedAlike(
  ours: readonly number[],
  golden: readonly number[],
  probabilities: Float32Array,
): readonly number[] {
  const isTie = (a: number, b: number): boolean => {
    const [p, q] = [probabilities[a] ?? 0, probabilities[b] ?? 0];
    return Math.abs(p - q) <= 1e-5 * Math.max(p, q);
  };
  const isSame = ours.length === golden.length && new Set([...ours, ...golden]).size === ours.length;
  return isSame && ours.every((id, at) => isTie(id, golden[at] ?? -1)) ? golden : ours;
}

/** `sample.topk50_topp09_temp13.ids` -> top-k 50, top-p 0.9, temperature 1.3. */
function optionsOf(name: string): { topK: number; topP: number; temperature: number } {
  const value = (key: string): string | undefined => new RegExp(`${key}(\\d+)`).exec(name)?.[1];
  const tenths = (digits: string | undefined, otherwise: number): number =>
    digits === undefined ? otherwise : Number(`${digits.slice(0, 1)}.${digits.slice(1)}`);
  return {
    topK: Number(value('topk') ?? 0),
    topP: tenths(value('topp'), 1),
    temperature: tenths(value('temp'), 1),
  };
}

/** Repetition penalty, n-gram ban and minimum length on small score tables. */
export const processorsStage: Stage = {
  name: 'processors',
  async run(context) {
    const { goldens } = context;
    const cases = goldens.names(file).filter((name) => name.startsWith('processor.'));
    for (const name of cases) {
      if (name !== 'processor.input_ids' && name !== 'processor.logits') await processorCase(context, name);
    }
  },
};

async function processorCase({ goldens, subjects, recorder }: StageContext, name: string): Promise<void> {
  const ids = await goldens.input(file, 'processor.input_ids');
  const logits = await goldens.input(file, 'processor.logits');
  const [rows = 0, length = 0] = ids.shape;
  const width = logits.shape.at(-1) ?? 0;
  const { eos } = (await subjects.base()).tokenizer.specialTokens;
  const [, kind, digits] = /^processor\.(.+)_(\d+)$/.exec(name) ?? [];
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const scores = (logits.data as Float32Array).slice(row * width, (row + 1) * width);
    const tokens = Array.from(ids.data.slice(row * length, (row + 1) * length), Number);
    if (kind === 'repetition_penalty') penalizeRepetition(scores, tokens, Number(digits) / 10);
    else if (kind === 'no_repeat_ngram') forbidRepeatedRuns(scores, tokens, Number(digits));
    else if (kind === 'min_length') holdEnd(scores, tokens, Number(digits), eos);
    else throw new Error(`nothing is known of the case "${name}"`);
    out.set(
      scores.map((score) => (score === -Infinity ? forbidden : score)),
      row * width,
    );
  }
  await recorder.floats(file, name, logits.shape, out);
}
