import type { Color, Shape } from './attributes.js';
import { relationBetween, type Relation, type Scene, type SceneObject } from './scene.js';

/** Colour and shape that training never shows on one object. Every colour and every shape occurs once. */
export const heldOutPairs: readonly (readonly [Color, Shape])[] = [
  ['red', 'star'],
  ['yellow', 'heart'],
  ['green', 'triangle'],
  ['cyan', 'ring'],
  ['blue', 'square'],
  ['pink', 'cross'],
  ['white', 'diamond'],
  ['black', 'circle'],
];

/** First shape, relation, second shape: never shown by training, while the opposite is. */
export const heldOutRelations: readonly (readonly [Shape, Relation, Shape])[] = [
  ['circle', 'left-of', 'star'],
  ['heart', 'left-of', 'square'],
  ['ring', 'left-of', 'triangle'],
  ['cross', 'left-of', 'diamond'],
  ['star', 'above', 'square'],
  ['circle', 'above', 'heart'],
  ['triangle', 'above', 'diamond'],
  ['cross', 'above', 'ring'],
];

/** The name of a colour and shape on one object, `red star`. */
export function pairKey(color: Color, shape: Shape): string {
  return `${color} ${shape}`;
}

/** The name of a relation of two shapes; `b right-of a` has the name of `a left-of b`. */
export function relationKey(a: Shape, relation: Relation, b: Shape): string {
  if (relation === 'right-of') return `${b} left-of ${a}`;
  if (relation === 'below') return `${b} above ${a}`;
  return `${a} ${relation} ${b}`;
}

const heldOutKeys: ReadonlySet<string> = new Set([
  ...heldOutPairs.map(([color, shape]) => pairKey(color, shape)),
  ...heldOutRelations.map(([a, relation, b]) => relationKey(a, relation, b)),
]);

/** Whether a name of `pairKey` or `relationKey` is kept from training. */
export function isHeldOut(key: string): boolean {
  return heldOutKeys.has(key);
}

/** The held-out combinations among some objects of one picture: their colours and shapes, and all pairs' relations. */
export function heldOutAmong(objects: readonly SceneObject[]): string[] {
  const keys = objects.flatMap((object, at) => [
    pairKey(object.color, object.shape),
    ...objects
      .slice(at + 1)
      .map((other) => relationKey(object.shape, relationBetween(object, other), other.shape)),
  ]);
  return keys.filter(isHeldOut);
}

/** The held-out combinations of a whole scene. */
export function heldOutInScene(scene: Scene): string[] {
  return heldOutAmong(scene.objects);
}
