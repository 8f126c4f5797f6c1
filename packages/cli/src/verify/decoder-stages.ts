import type { TensorData } from '@emu/program';
import type { Element } from '@emu/sdk/generate';
import { decoderProgram } from '@emu/sdk/models';

import type { Subject } from './subject.js';

/**
 * Runs the decoder over a whole sequence at once and returns the state entering every layer, and of every row the
 * final state, logits and regressed embedding. The sequence lies in pages of the model's own cache.
 */
export async function runDecoderStages(
  subject: Subject,
  elements: readonly Element[],
): Promise<Record<string, TensorData>> {
  const { decoder, config } = subject;
  const length = elements.length;
  const embeddings = elements.filter((element) => typeof element !== 'number');
  const targets = elements.flatMap((element, row) => (typeof element === 'number' ? [] : [row]));
  const { cacheConfig } = decoder;
  const slot = decoder.cache.openSlot();
  try {
    for (let position = 0; position < length; position++) decoder.cache.prepareWrite(slot, position, []);
    const program = decoderProgram(config.llama, {
      ...cacheConfig,
      precision: { matrices: subject.dtype },
      rows: length,
      visualRows: embeddings.length,
      logitRows: length,
      outputs: ['hidden', 'logits', 'regressed'],
      stages: true,
    });
    const visual = new Float32Array(embeddings.length * config.llama.width);
    embeddings.forEach((embedding, index) => {
      visual.set(embedding, index * config.llama.width);
    });
    const every = Int32Array.from({ length }, (_, row) => row);
    return await subject.run(program, {
      ids: Int32Array.from(elements, (element) => (typeof element === 'number' ? element : 0)),
      slot: new Int32Array(length).fill(slot),
      position: every,
      pageTable: decoder.cache.pageTable(),
      logitIndex: every,
      ...(embeddings.length > 0 && { visual, visualTarget: Int32Array.from(targets) }),
    });
  } finally {
    decoder.cache.closeSlot(slot);
  }
}
