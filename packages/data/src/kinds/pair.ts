import { captions } from '../language/captions.js';
import type { Random } from '../random.js';
import { shapes } from '../world/attributes.js';
import type { Scene } from '../world/scene.js';
import { randomScene } from '../world/scenes.js';
import { picture, text, type Plan } from './plan.js';

/** How many texts `meta.references` holds. */
const referenceCount = 5;

/** How many objects the scene of a pair has. */
export interface ObjectCounts {
  readonly leastObjects: number;
  readonly mostObjects: number;
}

/** A scene of at least `leastObjects` objects, less those beyond `mostObjects`. */
export function pairScene(random: Random, { leastObjects, mostObjects }: ObjectCounts): Scene {
  let scene = randomScene(random);
  while (scene.objects.length < leastObjects) scene = randomScene(random);
  return { ...scene, objects: scene.objects.slice(0, mostObjects) };
}

/** A picture and its caption. */
export function planPair(random: Random, scene: Scene = randomScene(random)): Plan {
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
