import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { list, numbers, record, text } from '../goldens.js';
import type { Stage } from '../stage.js';

const file = 'tokenizer/vectors.json';

/** Ids and texts of the tokenizer's vectors, which lie beside the goldens. */
export const tokenizerStage: Stage = {
  name: 'tokenizer',
  async run({ goldens, subjects, recorder }) {
    const path = join(goldens.root, file);
    if (!existsSync(path)) return;
    const vectors = record(JSON.parse(await readFile(path, 'utf8')));
    const { tokenizer } = await subjects.base();
    const instruct = (await subjects.instruct())?.tokenizer;
    for (const [index, value] of list(vectors['strings']).entries()) {
      const vector = record(value);
      const content = text(vector['text']);
      const ids = tokenizer.encode(content, { allowSpecialTokens: true });
      recorder.value(file, `strings.${index}.ids`, ids, vector['ids']);
      if (instruct !== undefined && vector['ids_instruct'] !== undefined) {
        const ours = instruct.encode(content, { allowSpecialTokens: true });
        recorder.value(file, `strings.${index}.ids_instruct`, ours, vector['ids_instruct']);
      }
      const golden = numbers(vector['ids'] ?? ids);
      const plain = tokenizer.decode(golden, { skipSpecialTokens: true });
      const special = tokenizer.decode(golden, { skipSpecialTokens: false });
      recorder.value(file, `strings.${index}.decoded`, plain, vector['decoded']);
      recorder.value(file, `strings.${index}.decoded_with_special`, special, vector['decoded_with_special']);
    }
  },
};
