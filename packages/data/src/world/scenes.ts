import type { Random } from '../random.js';
import {
  placeAnywhere,
  placeApart,
  placeRelated,
  randomLook,
  randomLooks,
  randomSetting,
  type Look,
  type Setting,
} from './place.js';
import { relations, type Relation, type Scene } from './scene.js';

/** One object anywhere. */
export function singleScene(
  random: Random,
  look: Partial<Omit<Look, 'radius'>> = {},
  setting: Partial<Setting> = {},
): Scene {
  return { objects: [placeAnywhere(random, randomLook(random, look))], ...randomSetting(random, setting) };
}

/** Two objects, the first in a clear relation to the second. */
export function relatedScene(
  random: Random,
  setting: Partial<Setting> = {},
  relation: Relation = random.pick(relations),
): Scene {
  const [a, b] = randomLooks(random, 2);
  if (a === undefined || b === undefined) throw new RangeError('[scenes] two looks were asked for');
  return { objects: placeRelated(random, a, relation, b), ...randomSetting(random, setting) };
}

/** Objects anywhere, none over another, all different. */
export function scatteredScene(random: Random, count: number, setting: Partial<Setting> = {}): Scene {
  return { objects: placeApart(random, randomLooks(random, count)), ...randomSetting(random, setting) };
}

const countWeights = { 1: 4, 2: 4.5, 3: 1.5 } as const;

/** One to three objects; two of them are clearly related. */
export function randomScene(random: Random, setting: Partial<Setting> = {}): Scene {
  const count = random.weighted<'1' | '2' | '3'>(countWeights);
  if (count === '1') return singleScene(random, {}, setting);
  return count === '2' ? relatedScene(random, setting) : scatteredScene(random, 3, setting);
}
