import type { Sample } from '@emu/data';

import { encodePng } from '../../image/node.js';
import type { Emu } from '../../node.js';
import { textOf } from '../data/fixed-samples.js';
import type { SampleContext, TrainingSample } from '../task.js';

/** Paints the texts of samples, each with its place as the seed, so that steps of a run can be compared. */
export async function sampledPictures(
  emu: Emu,
  samples: readonly Sample[],
  options: { readonly steps: number; readonly guidanceScale?: number },
  { signal }: SampleContext,
): Promise<readonly TrainingSample[]> {
  const made: TrainingSample[] = [];
  for (const [index, sample] of samples.entries()) {
    const prompt = textOf(sample);
    const stream = emu.imagine(prompt, { ...options, seed: index, ...(signal && { signal }) });
    const [picture] = await stream.images();
    if (picture === undefined) continue;
    made.push({ kind: 'image', name: `picture-${index}`, prompt, png: await encodePng(picture) });
  }
  return made;
}
