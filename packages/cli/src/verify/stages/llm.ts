import { Sequence, type Element, type RowOutput, type RowResult } from '@emu/sdk/generate';

import { record, text, type JsonRecord } from '../goldens.js';
import { embeddingsOf, imagePlaceholder, templateElements, templateIds, withImageRows } from '../prompts.js';
import { runDecoderStages } from '../decoder-stages.js';
import type { Stage, StageContext } from '../stage.js';
import type { Subject } from '../subject.js';

const file = 'llm.safetensors';
const topCount = 8;

/** The language model on an interleaved prompt, layer by layer, and a batch of two prompts of unequal length. */
export const llmStage: Stage = {
  name: 'llm',
  async run(context) {
    const document = await context.goldens.json('generation.json');
    const prompts = record(document?.['prompts'] ?? {});
    await interleavedCase(context, prompts);
    await batchCase(context, prompts, document ?? {});
  },
};

async function interleavedCase(
  { goldens, subjects, recorder }: StageContext,
  prompts: JsonRecord,
): Promise<void> {
  const subject = await subjects.base();
  const { width, vocabulary, layers } = subject.config.llama;
  const prompt = text(prompts['prompt1']);
  const pictures = prompt.split(imagePlaceholder(subject)).length - 1;
  const images = await goldenOrOwnEmbeddings(subject, goldens, pictures);
  const ids = templateIds(subject, prompt);
  const length = ids.length;
  await recorder.integers(file, 'input_ids', [1, length], ids);
  await recorder.integers(
    file,
    'attention_mask',
    [1, length],
    ids.map(() => 1),
  );

  const stages = await runDecoderStages(subject, withImageRows(subject, ids, images));
  const state = (name: string): Float32Array => stages[name] as Float32Array;
  await recorder.floats(file, 'inputs_embeds', [1, length, width], state('inputs_embeds'));
  for (let layer = 0; layer < layers; layer++) {
    await recorder.floats(file, `hidden${layer}`, [1, length, width], state(`hidden${layer}`));
  }
  // The last state the reference keeps is the one behind the final norm.
  await recorder.floats(file, `hidden${layers}`, [1, length, width], state('hidden'));
  await recorder.floats(file, 'regress', [1, length, width], state('regressed'));
  const logits = state('logits');
  await recorder.floats(file, 'logits_last3', [1, 3, vocabulary], logits.slice((length - 3) * vocabulary));
  const columns = goldens.entry(file, 'logits_cols')?.shape.at(-1) ?? 48;
  await summariesOfLogits(recorder, logits, { length, vocabulary, columns });
}

/** Parts of the logits that fit into a file: the first columns, the largest eight, and the sum of all. */
async function summariesOfLogits(
  recorder: StageContext['recorder'],
  logits: Float32Array,
  { length, vocabulary, columns }: { length: number; vocabulary: number; columns: number },
): Promise<void> {
  const rows = Array.from({ length }, (_, row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));
  const first = Float32Array.from(rows.flatMap((row) => [...row.subarray(0, columns)]));
  await recorder.floats(file, 'logits_cols', [1, length, columns], first);
  const best = rows.map((row) => largest(row, topCount));
  const values = best.flatMap((ids, row) => ids.map((id) => rows[row]?.[id] ?? NaN));
  await recorder.floats(file, 'logits_top8_values', [1, length, topCount], Float32Array.from(values));
  await recorder.integers(file, 'logits_top8_ids', [1, length, topCount], best.flat());
  await recorder.floats(file, 'logsumexp', [1, length], Float32Array.from(rows, logSumExp));
}

function largest(row: Float32Array, count: number): readonly number[] {
  return [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number) || a - b).slice(0, count);
}

function logSumExp(row: Float32Array): number {
  const peak = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return peak + Math.log(row.reduce((sum, value) => sum + Math.exp(value - peak), 0));
}

/** Visual embeddings of the first pictures: the golden ones where the folder holds them. */
export async function goldenOrOwnEmbeddings(
  subject: Subject,
  goldens: StageContext['goldens'],
  pictures: number,
): Promise<readonly Float32Array[]> {
  const golden = await goldens.tensor('vision.safetensors', 'cformer.output');
  const { queries, outputWidth } = subject.config.causalTransformer;
  if (!(golden?.data instanceof Float32Array)) {
    return embeddingsOf(
      subject,
      goldens,
      Array.from({ length: pictures }, (_, index) => index),
    );
  }
  const { data } = golden;
  return Array.from({ length: pictures * queries }, (_, row) =>
    data.subarray(row * outputWidth, (row + 1) * outputWidth),
  );
}

/**
 * Two prompts padded on the left. Rows of ours carry their own positions and no padding, so both position conventions
 * of the reference are one run: rotary positions only matter by their differences.
 */
async function batchCase(
  { goldens, subjects, recorder }: StageContext,
  prompts: JsonRecord,
  document: JsonRecord,
): Promise<void> {
  if (goldens.entry(file, 'leftpad.input_ids') === undefined) return;
  const subject = await subjects.base();
  const { vocabulary } = subject.config.llama;
  const texts = batchTexts(prompts, document);
  const rows = await goldenOrOwnEmbeddings(subject, goldens, texts.length);
  const { queries } = subject.config.causalTransformer;
  const ids = texts.map((prompt) => templateIds(subject, prompt));
  const length = Math.max(...ids.map((row) => row.length));
  const padding = ids.map((row) => length - row.length);
  const shape = [ids.length, length];
  const { pad } = subject.tokenizer.specialTokens;
  const padded = (make: (row: readonly number[], index: number) => readonly number[], fill: number) =>
    ids.flatMap((row, index) => [...new Array<number>(padding[index] ?? 0).fill(fill), ...make(row, index)]);
  await recorder.integers(
    file,
    'leftpad.input_ids',
    shape,
    padded((row) => row, pad),
  );
  await recorder.integers(
    file,
    'leftpad.attention_mask',
    shape,
    padded((row) => row.map(() => 1), 0),
  );
  await recorder.integers(
    file,
    'leftpad.position_ids',
    shape,
    padded((row) => [...row.keys()], 1),
  );
  const logits = new Float32Array(texts.length * vocabulary);
  for (const [index, prompt] of texts.entries()) {
    const elements = templateElements(subject, prompt, rows.slice(index * queries, (index + 1) * queries));
    const result = await lastRow(subject, elements, ['logits']);
    logits.set(result.logits as Float32Array, index * vocabulary);
  }
  await recorder.floats(file, 'leftpad.logits_last', [texts.length, vocabulary], logits);
  await recorder.floats(file, 'leftpad.logits_last_arange', [texts.length, vocabulary], logits);
}

/** The two prompts of the batch: those of the generation run of that name. */
function batchTexts(prompts: JsonRecord, document: JsonRecord): readonly string[] {
  const runs = (document['runs'] ?? []) as readonly { name: string; prompt: unknown }[];
  const run = runs.find(({ name }) => name.includes('batch_left_padded'));
  if (run !== undefined && Array.isArray(run.prompt)) return run.prompt as readonly string[];
  return [text(prompts['prompt3'])];
}

/** Results of the last of the elements, in a sequence of their own. */
export async function lastRow(
  subject: Subject,
  elements: readonly Element[],
  wanted: readonly RowOutput[],
): Promise<RowResult> {
  const sequence = Sequence.open(subject.decoder);
  try {
    return await sequence.extend(elements, wanted);
  } finally {
    sequence.close();
  }
}
