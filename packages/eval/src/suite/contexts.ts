import type { SampleImage, SceneObject } from '@emu/data';
import { image } from '@emu/sdk';

import { findObject } from '../judge/judge.js';
import { promptOf, takeSamples } from './drawn-samples.js';
import { proportion, proportions } from './estimate.js';
import { paint, paintedBy, pictureOptions, seen, showsScene } from './paint.js';
import { paintingLimit } from './paintings.js';
import type { Estimate } from './score.js';
import type { SuiteTest } from './suite-test.js';
import { paintingsAtOnce, together } from './together.js';

/**
 * A picture in a style, a text that names none, and a painting: is it in the style? Plain contexts do not count, since
 * a model that ignores the context paints plain pictures too.
 */
const styleTest: SuiteTest = {
  name: 'style from context',
  scores: ['incontext_style_accuracy'],
  paints: true,
  async run({ emu }, settings) {
    const samples = await takeSamples({
      kind: 'style',
      split: 'evaluation',
      seed: settings.seed,
      count: paintingLimit(settings),
      accepts: ({ meta }) => meta?.answer !== 'plain',
    });
    const outcomes = await together(samples, paintingsAtOnce, settings, async (sample, index) => {
      const { elements, meta } = sample;
      const picture = seen(await paint(emu, promptOf(elements.slice(0, 2)), settings, index));
      const scene = meta?.scenes?.[1];
      return {
        group: meta?.answer ?? '',
        isRight: picture.style === meta?.answer,
        hasContent: scene !== undefined && showsScene(picture, scene),
      };
    });
    const content = proportion(outcomes.map(({ hasContent }) => hasContent));
    return {
      incontext_style_accuracy: {
        ...proportion(outcomes.map(({ isRight }) => isRight)),
        parts: { ...proportions(outcomes), 'content right': content },
      },
    };
  },
};

interface Parents {
  readonly pictures: readonly SampleImage[];
  readonly objects: readonly SceneObject[];
}

/** Whether a painting shows both parents' objects, in color and shape. */
function showsBoth(painting: SampleImage, { objects }: Parents): boolean {
  const picture = seen(painting);
  return objects.every((object) => findObject(picture, object) !== null);
}

/** Two pictures of one object each, blended; beside it what the model paints after either of them alone. */
const blendTest: SuiteTest = {
  name: 'blends',
  scores: ['blend_both_parents', 'blend_single_parent'],
  paints: true,
  async run({ emu }, settings) {
    const samples = await takeSamples({
      kind: 'blend',
      split: 'evaluation',
      seed: settings.seed,
      count: paintingLimit(settings),
    });
    const parents = samples.map(({ elements, meta }): Parents => ({
      pictures: elements.slice(0, 2).flatMap((each) => (each.type === 'image' ? [each.image] : [])),
      objects: (meta?.scenes ?? []).slice(0, 2).flatMap(({ objects }) => objects),
    }));
    const prompts = parents.flatMap((each) => [
      { parents: each, pictures: each.pictures },
      ...each.pictures.map((picture) => ({ parents: each, pictures: [picture] })),
    ]);
    const outcomes = await together(prompts, paintingsAtOnce, settings, async (prompt, index) => {
      const pictures = prompt.pictures.map((picture) => image(picture));
      const options = pictureOptions(settings, index);
      const stream = pictures.length > 1 ? emu.blend(pictures, options) : emu.imagine(pictures, options);
      return showsBoth(await paintedBy(stream), prompt.parents);
    });
    const everyThird = (first: number): Estimate =>
      proportion(outcomes.filter((_, index) => index % 3 === first));
    const [left, right] = [everyThird(1), everyThird(2)];
    return {
      blend_both_parents: everyThird(0),
      // The better of the two: a blend has to beat either.
      blend_single_parent: {
        ...(left.value >= right.value ? left : right),
        parts: { 'first parent': left, 'second parent': right },
      },
    };
  },
};

export const contextTests: readonly SuiteTest[] = [styleTest, blendTest];
