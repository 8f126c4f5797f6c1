import { PackedBatch, unifiedProgram } from '@emu/sdk/train';

import type { JsonRecord } from '../goldens.js';
import { pixelsOf, templateIds } from '../prompts.js';
import { text } from '../goldens.js';
import type { StageContext } from '../stage.js';
import type { Subject } from '../subject.js';
import { recordParameter } from '../training/record-parameter.js';
import { TrainedSession } from '../training/trained-session.js';

const file = 'training.safetensors';

/** Loss of the instruct model on one example, every text token learned, and the gradients of its adapters. */
export async function adapterGradients(context: StageContext, subject: Subject): Promise<JsonRecord> {
  const { goldens, recorder } = context;
  const golden = await goldens.json('training.json');
  const stored = await goldens.tensor(file, 'lora.input_ids');
  const ids =
    stored === undefined
      ? [...templateIds(subject, text(golden?.['lora_prompt'])), subject.tokenizer.specialTokens.eos]
      : Array.from(stored.data, Number);
  const shape = { rows: 1, length: ids.length, pictures: 1, textTargets: ids.length };
  const batch = new PackedBatch({ config: subject.config, special: subject.tokenizer.specialTokens }, shape);
  batch.add({ ids, pictures: [await pixelsOf(subject, goldens, 0)] });
  const inputs = batch.inputs({});
  const isAdapter = (name: string): boolean => name.includes('.lora_');
  const session = await TrainedSession.open(
    subject.openSession(),
    unifiedProgram(subject.config, shape, { visualWeight: 0 }),
    (name) => subject.tensor(name),
    isAdapter,
  );
  try {
    const loss = Number((await session.run(inputs))['loss']?.[0]);
    await recorder.integers(file, 'lora.input_ids', [1, ids.length], ids);
    await recorder.floats(file, 'lora.loss', [1], Float32Array.of(loss));
    await session.differentiate(inputs);
    const place = { goldens, recorder, file, prefix: 'lora.grad.', touchedRows: [] };
    for (const name of session.parameters.filter(isAdapter)) {
      await recordParameter(place, name, session.shapeOf(name), await session.gradientOf(name));
    }
    return { lora_loss: loss };
  } finally {
    await session.dispose();
  }
}
