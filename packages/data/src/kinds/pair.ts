import { captions } from '../language/captions.js';
import type { Random } from '../random.js';
import { shapes } from '../world/attributes.js';
import type { Scene } from '../world/scene.js';
import { randomScene } from '../world/scenes.js';
import { picture, text, type Plan } from './plan.js';

/** How many texts `meta.references` holds. */
const referenceCount = 5;

/** A scene of at most `mostObjects` objects. */
export function pairScene(random: Random, mostObjects: number): Scene {
  const scene = randomScene(random);
  return { ...scene, objects: scene.objects.slice(0, mostObjects) };
}

/** A picture and its caption. */
export function planPair(random: Random, scene: Scene = pairScene(random, 3)): Plan {
  const references = captions(random, scene, referenceCount);
  return {
    kind: 'pair',
    elements: [picture(scene), text(references[0] ?? '')],
    meta: { references },
    focus: scene.objects,
  };
}

/**
 * Member `member` of a group of scenes that are alike: all have the places, colours and setting of `scene`, and each
 * its own shapes, as `group` draws them.
 */
export function alikeScene(scene: Scene, group: Random, member: number): Scene {
  const turns = scene.objects.map(() => group.shuffled(shapes));
  return {
    ...scene,
    objects: scene.objects.map((object, at) => ({
      ...object,
      shape: turns[at]?.[member % shapes.length] ?? object.shape,
    })),
  };
}
