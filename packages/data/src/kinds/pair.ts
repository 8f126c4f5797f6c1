import { captions } from '../language/captions.js';
import type { Random } from '../random.js';
import { randomScene } from '../world/scenes.js';
import { picture, text, type Plan } from './plan.js';

/** How many texts `meta.references` holds. */
const referenceCount = 5;

/** A picture and its caption. */
export function planPair(random: Random): Plan {
  const scene = randomScene(random);
  const references = captions(random, scene, referenceCount);
  return {
    kind: 'pair',
    elements: [picture(scene), text(references[0] ?? '')],
    meta: { references },
    focus: scene.objects,
  };
}
