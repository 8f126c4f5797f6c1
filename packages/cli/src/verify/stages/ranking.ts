import { scoreCandidates } from '@emu/sdk/generate';

import { list, numbers, record, text } from '../goldens.js';
import { templateElements } from '../prompts.js';
import type { Stage } from '../stage.js';
import { goldenOrOwnEmbeddings } from './llm.js';

const file = 'llm.safetensors';

/** Ranking answers by their losses, as the authors' predict does. */
export const rankingStage: Stage = {
  name: 'ranking',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.base();
    const ranking = record((await goldens.json('generation.json'))?.['ranking'] ?? {});
    const prompt = text(list(ranking['prompt'])[0]);
    const images = numbers(ranking['image']);
    const candidates = list(ranking['candidates']).map(text);
    const { queries } = subject.config.causalTransformer;
    const all = await goldenOrOwnEmbeddings(subject, goldens, Math.max(...images) + 1);
    const rows = images.flatMap((image) => all.slice(image * queries, (image + 1) * queries));
    const elements = templateElements(subject, prompt, rows);
    const tokens = candidates.map((candidate) => subject.tokenizer.encode(candidate, { addBos: false }));
    const cases = goldens.names(file).filter((name) => /^rank\.segments\d+\.losses$/.test(name));
    for (const name of cases) {
      const segments = Number(/segments(\d+)/.exec(name)?.[1]);
      const scores = await scoreCandidates(subject.decoder, elements, tokens, { segments, slots: 8 });
      const losses = Float32Array.from(scores, ({ authorsLoss }) => authorsLoss);
      const order = [...losses.keys()].sort((a, b) => (losses[a] as number) - (losses[b] as number));
      await recorder.floats(file, name, [1, candidates.length], losses);
      await recorder.integers(file, name.replace('losses', 'order'), [1, candidates.length], order);
    }
  },
};
