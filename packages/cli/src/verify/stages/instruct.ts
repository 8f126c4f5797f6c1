import { text, record } from '../goldens.js';
import { templateElements, templateIds } from '../prompts.js';
import type { Stage } from '../stage.js';
import { runDecoderStages } from '../decoder-stages.js';
import { goldenOrOwnEmbeddings } from './llm.js';

const file = 'llm.safetensors';

/** The instruct model with its adapters, on the authors' prompt. */
export const instructStage: Stage = {
  name: 'instruct',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.instruct();
    if (subject === undefined) throw new Error('the folder has no instruct checkpoint');
    const document = await goldens.json('generation.json');
    const prompt = text(record(document?.['prompts'])['instruct']);
    const ids = templateIds(subject, prompt);
    const { width, vocabulary } = subject.config.llama;
    await recorder.integers(file, 'instruct.input_ids', [1, ids.length], ids);
    const rows = await goldenOrOwnEmbeddings(subject, goldens, 1);
    const stages = await runDecoderStages(subject, templateElements(subject, prompt, rows));
    await recorder.floats(
      file,
      'instruct.hidden_last',
      [1, ids.length, width],
      stages['hidden'] as Float32Array,
    );
    const logits = (stages['logits'] as Float32Array).slice(-vocabulary);
    await recorder.floats(file, 'instruct.logits_last', [1, vocabulary], logits);
  },
};
