import type { Random } from '../random.js';
import { relationBetween, type Scene, type SceneObject } from '../world/scene.js';
import {
  backgroundPhrase,
  nounPhrase,
  placePhrase,
  randomDetail,
  relationPhrases,
  styleFrames,
  withArticle,
} from './phrases.js';

function article(random: Random, object: SceneObject): string {
  return withArticle(nounPhrase(random, object, randomDetail(random)));
}

function oneObject(random: Random, object: SceneObject): string {
  const place = placePhrase(object);
  const phrase = article(random, object);
  return place !== null && random.chance(0.4) ? `${phrase} ${place}` : phrase;
}

function twoObjects(random: Random, a: SceneObject, b: SceneObject): string {
  const [first, second] = random.chance(0.5) ? [a, b] : [b, a];
  const relation = relationBetween(first, second);
  const phrase = random.pick(relationPhrases[relation]);
  return `${article(random, first)} ${phrase} ${article(random, second)}`;
}

/** Several objects, from left to right, so that the order of the words can be learnt from the picture. */
function manyObjects(random: Random, objects: readonly SceneObject[]): string {
  const ordered = [...objects].sort((a, b) => a.x - b.x).map((object) => article(random, object));
  const last = ordered.at(-1) ?? '';
  const list = `${ordered.slice(0, -1).join(', ')} and ${last}`;
  return random.chance(0.3) ? `${list} from left to right` : list;
}

/** What a picture shows, without its style: the objects, their relation, sometimes the background. */
export function contentPhrase(random: Random, scene: Scene): string {
  const [a, b] = scene.objects;
  const objects =
    a === undefined
      ? 'nothing'
      : b === undefined
        ? oneObject(random, a)
        : scene.objects.length === 2
          ? twoObjects(random, a, b)
          : manyObjects(random, scene.objects);
  return random.chance(0.25) ? `${objects} ${backgroundPhrase(random, scene.background)}` : objects;
}

/**
 * A caption: one lower-case sentence with a full stop. It always names colour and shape of every object, the relation
 * of two, a texture that is not solid, and a style that is not plain; size, place and background now and then.
 */
export function caption(random: Random, scene: Scene): string {
  return `${random.pick(styleFrames[scene.style]).replace('{}', contentPhrase(random, scene))}.`;
}

/** Captions that are all true of a scene; they may repeat. */
export function captions(random: Random, scene: Scene, count: number): string[] {
  return Array.from({ length: count }, () => caption(random, scene));
}
