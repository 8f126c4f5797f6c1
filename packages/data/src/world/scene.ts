import type { Background, Color, Shape, Size, Style, Texture } from './attributes.js';

/** One thing in a scene. Lengths are fractions of the picture's side; x grows to the right, y grows down. */
export interface SceneObject {
  readonly shape: Shape;
  readonly color: Color;
  readonly size: Size;
  readonly texture: Texture;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** Everything a picture of the drawn world shows. Later objects lie over earlier ones; placed objects never overlap. */
export interface Scene {
  readonly objects: readonly SceneObject[];
  readonly background: Background;
  /** Brightness changes from top to bottom by this fraction, -0.2..0.2. */
  readonly gradient: number;
  readonly style: Style;
}

/** `a RELATION b`, for instance a left of b. */
export type Relation = 'left-of' | 'right-of' | 'above' | 'below';

export const relations: readonly Relation[] = ['left-of', 'right-of', 'above', 'below'];

const opposites: Readonly<Record<Relation, Relation>> = {
  'left-of': 'right-of',
  'right-of': 'left-of',
  above: 'below',
  below: 'above',
};

/** The relation of b to a when `a relation b`. */
export function oppositeRelation(relation: Relation): Relation {
  return opposites[relation];
}

/** Where a lies seen from b: the axis on which the centres are further apart decides; a tie counts as horizontal. */
export function relationBetween(
  a: { readonly x: number; readonly y: number },
  b: { readonly x: number; readonly y: number },
): Relation {
  const dx = a.x - b.x;
  const dy = a.y - b.y;
  if (Math.abs(dx) >= Math.abs(dy)) return dx < 0 ? 'left-of' : 'right-of';
  return dy < 0 ? 'above' : 'below';
}
