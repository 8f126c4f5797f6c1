import type { StageContext } from '../stage.js';
import { rollOutTexts } from './generate-image.js';

/**
 * The condition of the U-Net's cases: the embeddings of generate_image's `text_cfg`, rows [cond, uncond]; ours where
 * the folder does not hold them.
 */
export async function conditionOf({ goldens, subjects }: StageContext, batch: number): Promise<Float32Array> {
  const subject = await subjects.base();
  const golden = await goldens.tensor('generate_image.safetensors', 'text_cfg.embeddings');
  const rows = golden?.data instanceof Float32Array ? golden.data : await ours();
  const width = subject.config.causalTransformer.queries * subject.config.llama.width;
  return rows.slice(0, batch * width);

  async function ours(): Promise<Float32Array> {
    const document = await goldens.json('generation.json');
    return rollOutTexts(subject, goldens, document, 'text_cfg');
  }
}
