import { caption, contentPhrase } from '../language/captions.js';
import type { Random } from '../random.js';
import { styles } from '../world/attributes.js';
import { placeRelated, randomLooks, randomSetting } from '../world/place.js';
import { randomScene, singleScene } from '../world/scenes.js';
import { picture, text, type Plan } from './plan.js';

/** Two to five pictures, each followed by its caption. */
export function planDocument(random: Random): Plan {
  const scenes = Array.from({ length: 2 + random.integer(4) }, () => randomScene(random));
  return {
    kind: 'document',
    elements: scenes.flatMap((scene) => [picture(scene), text(caption(random, scene))]),
    meta: {},
    focus: scenes.at(-1)?.objects ?? [],
  };
}

/** A picture in any style, a text without a word of style, and its picture in the style of the first. */
export function planStyle(random: Random): Plan {
  const style = random.pick(styles);
  const first = randomScene(random, { style });
  const second = randomScene(random, { style });
  return {
    kind: 'style',
    elements: [picture(first), text(`in the same style ${contentPhrase(random, second)}.`), picture(second)],
    meta: { task: 'style', answer: style },
    focus: second.objects,
  };
}

/**
 * Two pictures of one object each, then one with both: the object of the first at the left of that of the second,
 * background and style unchanged. No text at all, as the authors prompt for blending.
 */
export function planBlend(random: Random): Plan {
  const [a, b] = randomLooks(random, 2);
  if (a === undefined || b === undefined) throw new RangeError('[blend] two looks were asked for');
  const setting = randomSetting(random);
  const first = singleScene(random, a, setting);
  const second = singleScene(random, b, setting);
  const child = { ...setting, objects: placeRelated(random, a, 'left-of', b) };
  return {
    kind: 'blend',
    elements: [picture(first), picture(second), picture(child)],
    meta: { task: 'blend' },
    focus: child.objects,
  };
}
