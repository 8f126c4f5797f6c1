import type { Sample } from '@emu/data';

import type { MixedSource } from './recipe-sources.js';

/** The first held-out samples of the sources that `accepts` likes: the same in every run. */
export async function fixedSamples(
  sources: readonly MixedSource[],
  seed: number,
  count: number,
  accepts: (sample: Sample) => boolean,
): Promise<readonly Sample[]> {
  const found: Sample[] = [];
  for (const { source } of sources) {
    const stream = source.open({ seed, split: 'evaluation' });
    try {
      for (let tried = 0; tried < triesPerSample * count && found.length < count; tried++) {
        const { value, done } = await stream.next();
        if (done === true) break;
        if (accepts(value)) found.push(value);
      }
    } finally {
      await stream.close();
    }
  }
  return found;
}

const triesPerSample = 8;

/** The texts of a sample, joined. */
export function textOf(sample: Sample): string {
  return sample.elements.flatMap((element) => (element.type === 'text' ? [element.text] : [])).join(' ');
}
