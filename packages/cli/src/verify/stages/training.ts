import { EmuError } from '@emu/program';
import { PackedBatch, programParameters, unifiedProgram } from '@emu/sdk/train';

import { record, type JsonRecord } from '../goldens.js';
import type { Stage, StageContext } from '../stage.js';
import type { Subject } from '../subject.js';
import { authorsBatch, type AuthorsBatch } from '../training/authors-batch.js';
import { AuthorsOptimizer } from '../training/optimizer.js';
import { paddedInputs, paddedStatesProgram } from '../training/padded-states.js';
import { recordParameter, type ParameterGoldens } from '../training/record-parameter.js';
import { TrainedSession } from '../training/trained-session.js';
import { adapterGradients } from './training-lora.js';
import { noiseGradients } from './training-unet.js';

const file = 'training.safetensors';
const document = 'training.json';

/**
 * The unified objective on the authors' batch: losses, the gradient of every parameter, parameters after AdamW steps;
 * gradients of the adapters of the instruct model; loss and gradients of the visual decoder.
 */
export const trainingStage: Stage = {
  name: 'training',
  covers: ['training_unet'],
  async run(context) {
    const { goldens, subjects } = context;
    const touched = await goldens.tensor(file, 'touched_rows');
    const touchedRows = Array.from(touched?.data ?? [], Number);
    const results: Record<string, unknown> = {};
    const subject = await subjects.base();
    Object.assign(results, await unifiedObjective(context, subject, touchedRows));
    const instruct = await subjects.instruct();
    if (instruct !== undefined) Object.assign(results, await adapterGradients(context, instruct));
    if (subject.config.visualDecoder !== undefined)
      Object.assign(results, await noiseGradients(context, subject));
    context.recorder.document(document, results);
  },
};

async function unifiedObjective(
  context: StageContext,
  subject: Subject,
  touchedRows: readonly number[],
): Promise<JsonRecord> {
  const { goldens, recorder } = context;
  const batch = await authorsBatch(subject, goldens);
  const rows = batch.sequences.length;
  const { length, pictures } = batch;
  const shape = { rows, length, pictures, textTargets: rows * length };
  const forward = unifiedProgram(subject.config, shape, { stages: true });
  const inputs = packed(subject, batch, shape).inputs({ visual: true });
  const session = await TrainedSession.open(subject.openSession(), forward, (name) => subject.tensor(name));
  try {
    const outputs = await session.run(inputs);
    await recordStates(context, subject, batch, outputs['inputs_embeds'] as Float32Array);
    const { width } = subject.config.llama;
    const places = pictures * (subject.config.causalTransformer.queries + 1);
    await recorder.floats(file, 'regress_pred', [places, width], outputs['regress_pred'] as Float32Array);
    await recorder.floats(file, 'regress_labels', [places, width], outputs['regress_labels'] as Float32Array);
    const losses = lossesOf(outputs);
    const golden = await goldens.json(document);
    for (const [name, value] of Object.entries(losses)) compareNumber(context, name, value, golden?.[name]);
    await session.differentiate(inputs);
    const place: ParameterGoldens = { goldens, recorder, file, prefix: 'grad.', touchedRows };
    for (const name of session.parameters) {
      await recordParameter(place, name, session.shapeOf(name), await session.gradientOf(name));
    }
    const trajectory = await descend(session, forward, inputs, record(golden?.['optimizer']), losses);
    for (const name of session.parameters) {
      const after = { ...place, prefix: 'after3.' };
      await recordParameter(after, name, session.shapeOf(name), await session.valuesOf(name));
    }
    const goldenTrajectory = record(golden?.['trajectory_total_llm_regression'] ?? {})['fp32'];
    if (Array.isArray(goldenTrajectory)) {
      recorder.compare(
        document,
        'trajectory_total_llm_regression',
        Float32Array.from(trajectory.flat()),
        Float32Array.from((goldenTrajectory as number[][]).flat()),
      );
    }
    return { ...losses, trajectory_total_llm_regression: { fp32: trajectory } };
  } finally {
    await session.dispose();
  }
}

function packed(
  subject: Subject,
  { sequences }: AuthorsBatch,
  shape: ConstructorParameters<typeof PackedBatch>[1],
): PackedBatch {
  const batch = new PackedBatch({ config: subject.config, special: subject.tokenizer.specialTokens }, shape);
  for (const sequence of sequences) {
    if (!batch.add(sequence)) throw new EmuError('INTERNAL', '[verify] the batch has no room for its rows');
    batch.closeRow();
  }
  return batch;
}

/** Losses in the words of training.json. */
function lossesOf(outputs: Readonly<Record<string, ArrayLike<number | bigint>>>): Record<string, number> {
  return {
    llm_loss: Number(outputs['loss.text']?.[0]),
    regression_loss: Number(outputs['loss.visual']?.[0]),
    total: Number(outputs['loss']?.[0]),
  };
}

export function compareNumber({ recorder }: StageContext, name: string, ours: number, golden: unknown): void {
  if (typeof golden !== 'number') return;
  recorder.compare(document, name, Float32Array.of(ours), Float32Array.of(golden));
}

const steps = 3;

/** Makes the steps of training.json on one batch. Returns total, text and visual loss before the first and after each. */
async function descend(
  session: TrainedSession,
  forward: ReturnType<typeof unifiedProgram>,
  inputs: Parameters<TrainedSession['run']>[0],
  settings: JsonRecord,
  first: Readonly<Record<string, number>>,
): Promise<readonly (readonly number[])[]> {
  const optimizer = new AuthorsOptimizer(session, programParameters([forward]), settings);
  const trajectory = [Object.values(first)];
  for (let step = 0; step < steps; step++) {
    if (step > 0) await session.differentiate(inputs);
    await optimizer.step();
    trajectory.push(Object.values(lossesOf(await session.run(inputs))));
  }
  return trajectory.map(([llm = NaN, regression = NaN, total = NaN]) => [total, llm, regression]);
}

/** Inputs and final states of the language model at every place, padding included. */
async function recordStates(
  { goldens, recorder }: StageContext,
  subject: Subject,
  { sequences, length }: AuthorsBatch,
  embeddings: Float32Array,
): Promise<void> {
  const { llama } = subject.config;
  const shape = [sequences.length, length, llama.width];
  await recorder.floats(file, 'inputs_embeds', shape, embeddings);
  if (goldens.entry(file, 'hidden_last') === undefined) return;
  const program = paddedStatesProgram(llama, length);
  const states = new Float32Array(embeddings.length);
  const size = length * llama.width;
  for (const [row, { ids }] of sequences.entries()) {
    const { hidden } = await subject.run(program, {
      inputs_embeds: embeddings.slice(row * size, (row + 1) * size),
      ...paddedInputs(llama, length, ids.length),
    });
    states.set(hidden as Float32Array, row * size);
  }
  await recorder.floats(file, 'hidden_last', shape, states);
}
