import { attributeCounts, type AttributeCounts } from '../metrics/attribute-f1.js';
import { cider } from '../metrics/cider.js';
import { mean, tokenizeCaption } from '../metrics/corpus.js';
import { continuation } from './answers.js';
import { promptOf, takeSamples } from './drawn-samples.js';
import { bootstrap } from './estimate.js';
import type { SuiteTest } from './suite-test.js';
import { answersAtOnce, together } from './together.js';

/** Captions of pictures of new scenes: what they claim is compared with the scene, their words with five captions. */
export const captionTest: SuiteTest = {
  name: 'captions',
  scores: ['caption_attribute_f1', 'caption_cider'],
  paints: false,
  async run({ emu }, settings) {
    const { limit: count, seed, signal } = settings;
    const samples = await takeSamples({ kind: 'pair', split: 'evaluation', seed, count });
    const captions = await together(samples, answersAtOnce, settings, ({ elements }) =>
      continuation(emu, promptOf(elements.slice(0, 1)), { maxNewTokens: 60, signal }),
    );
    const counts = samples.flatMap(({ meta }, index) => {
      const scene = meta?.scenes?.[0];
      return scene === undefined ? [] : [attributeCounts(captions[index] ?? '', scene)];
    });
    const { each } = cider(
      samples.map(({ meta }, index) => ({
        candidate: tokenizeCaption(captions[index] ?? ''),
        references: (meta?.references ?? []).map(tokenizeCaption),
      })),
    );
    return { caption_attribute_f1: bootstrap(counts, f1), caption_cider: bootstrap(each, mean) };
  },
};

function f1(counts: readonly AttributeCounts[]): number {
  const total = (key: keyof AttributeCounts): number => counts.reduce((sum, each) => sum + each[key], 0);
  const all = total('claimed') + total('expected');
  return all === 0 ? 0 : (2 * total('correct')) / all;
}
