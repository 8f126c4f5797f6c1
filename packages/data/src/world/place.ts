import type { Random } from '../random.js';
import { backgrounds, colors, shapes, type Size, type Style, type Texture } from './attributes.js';
import type { Relation, Scene, SceneObject } from './scene.js';

/** Free space between objects and at the border, as a fraction of the side. */
const gap = 0.03;

/** Radii by size: the two ranges do not touch, so that the size can be seen. */
const radii: Readonly<Record<Size, readonly [number, number]>> = {
  small: [0.115, 0.13],
  large: [0.19, 0.215],
};

const textureWeights: Readonly<Record<Texture, number>> = { solid: 6, striped: 2, dotted: 2 };
const styleWeights: Readonly<Record<Style, number>> = {
  plain: 4,
  pastel: 1.5,
  night: 1.5,
  mosaic: 1.5,
  sketch: 1.5,
};

/** Everything of an object but its place. */
export type Look = Omit<SceneObject, 'x' | 'y'>;

/** Everything of a scene but its objects. */
export type Setting = Omit<Scene, 'objects'>;

/** A random look; what `fixed` names stays as it is. */
export function randomLook(random: Random, fixed: Partial<Omit<Look, 'radius'>> = {}): Look {
  const size = fixed.size ?? random.pick(['small', 'large'] as const);
  const [least, most] = radii[size];
  return {
    shape: fixed.shape ?? random.pick(shapes),
    color: fixed.color ?? random.pick(colors),
    size,
    texture: fixed.texture ?? random.weighted(textureWeights),
    radius: random.between(least, most),
  };
}

/** A random background and style; what `fixed` names stays as it is. */
export function randomSetting(random: Random, fixed: Partial<Setting> = {}): Setting {
  return {
    background: fixed.background ?? random.pick(backgrounds),
    gradient: fixed.gradient ?? (random.chance(0.5) ? 0 : random.between(-0.2, 0.2)),
    style: fixed.style ?? random.weighted(styleWeights),
  };
}

/** Looks that differ from each other in colour and shape, at most one of them large when there are three or more. */
export function randomLooks(random: Random, count: number): Look[] {
  const looks: Look[] = [];
  while (looks.length < count) {
    const size =
      count < 3 ? undefined : looks.length === 0 ? random.pick(['small', 'large'] as const) : 'small';
    const look = randomLook(random, size === undefined ? {} : { size });
    if (looks.every((other) => other.color !== look.color || other.shape !== look.shape)) looks.push(look);
  }
  return random.shuffled(looks);
}

/** One object anywhere within the borders. */
export function placeAnywhere(random: Random, look: Look): SceneObject {
  const margin = look.radius * 1.1 + 0.01;
  return { ...look, x: random.between(margin, 1 - margin), y: random.between(margin, 1 - margin) };
}

/** The first object has the relation to the second, clearly so: the other axis differs by half as much at most. */
export function placeRelated(
  random: Random,
  a: Look,
  relation: Relation,
  b: Look,
): [SceneObject, SceneObject] {
  const isHorizontal = relation === 'left-of' || relation === 'right-of';
  const [first, second] = relation === 'left-of' || relation === 'above' ? [a, b] : [b, a];
  const marginFirst = first.radius * 1.1 + 0.01;
  const marginSecond = second.radius * 1.1 + 0.01;
  const least = (first.radius + second.radius) * 1.1 + gap;
  const firstAlong = random.between(marginFirst, 1 - marginSecond - least);
  const secondAlong = random.between(firstAlong + least, 1 - marginSecond);
  const firstAcross = random.between(marginFirst, 1 - marginFirst);
  // At least 0.18: more than what the margins of two sizes differ by, so the range below is never empty.
  const reach = (secondAlong - firstAlong) / 2;
  const secondAcross = random.between(
    Math.max(marginSecond, firstAcross - reach),
    Math.min(1 - marginSecond, firstAcross + reach),
  );
  const put = (look: Look, along: number, across: number): SceneObject =>
    isHorizontal ? { ...look, x: along, y: across } : { ...look, x: across, y: along };
  const placedFirst = put(first, firstAlong, firstAcross);
  const placedSecond = put(second, secondAlong, secondAcross);
  return first === a ? [placedFirst, placedSecond] : [placedSecond, placedFirst];
}

/** Objects anywhere, none over another. Crowded tries start afresh; three objects with one large always fit. */
export function placeApart(random: Random, looks: readonly Look[]): SceneObject[] {
  for (;;) {
    const placed: SceneObject[] = [];
    for (const look of looks) {
      for (let attempt = 0; attempt < 30; attempt++) {
        const object = placeAnywhere(random, look);
        if (placed.every((other) => areApart(object, other))) {
          placed.push(object);
          break;
        }
      }
    }
    if (placed.length === looks.length) return placed;
  }
}

/** Whether the circles around two objects leave the gap free. */
export function areApart(a: SceneObject, b: SceneObject): boolean {
  return Math.hypot(a.x - b.x, a.y - b.y) >= (a.radius + b.radius) * 1.1 + gap;
}
