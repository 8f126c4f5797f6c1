import type { Random } from '../random.js';
import { colors, type Color } from './attributes.js';
import { areApart, placeAnywhere, randomLooks, randomSetting, type Look } from './place.js';
import type { Scene, SceneObject } from './scene.js';

/** What the main object of a clip does. */
export const motions = [
  'left',
  'right',
  'up',
  'down',
  'bounce',
  'appear',
  'disappear',
  'recolor',
  'still',
] as const;
export type Motion = (typeof motions)[number];

/** Frames of a clip, and seconds between two of them. */
export const clipFrames = 8;
export const clipInterval = 0.5;

/** A short silent film of one object that does something, perhaps beside one that does nothing. */
export interface Clip {
  readonly motion: Motion;
  /** The main object as the first frame shows it (or would, when it appears later). */
  readonly actor: SceneObject;
  /** The colour it takes on, for `recolor`. */
  readonly newColor: Color | null;
  readonly bystander: SceneObject | null;
  readonly frames: readonly Scene[];
}

/** Shift of the actor at `progress` 0..1, as fractions of the side; `reach` is the whole way. */
function shift(motion: Motion, progress: number, reach: number): readonly [number, number] {
  if (motion === 'left') return [-reach * progress, 0];
  if (motion === 'right') return [reach * progress, 0];
  if (motion === 'up') return [0, -reach * progress];
  if (motion === 'down') return [0, reach * progress];
  // Two full bounces from the ground up and back.
  if (motion === 'bounce') return [0, -reach * Math.abs(Math.sin(2 * Math.PI * progress))];
  return [0, 0];
}

function actorAt(
  motion: Motion,
  actor: SceneObject,
  newColor: Color | null,
  frame: number,
  turn: number,
  reach: number,
): SceneObject | null {
  if (motion === 'appear' && frame < turn) return null;
  if (motion === 'disappear' && frame >= turn) return null;
  const [dx, dy] = shift(motion, frame / (clipFrames - 1), reach);
  const color = motion === 'recolor' && newColor !== null && frame >= turn ? newColor : actor.color;
  return { ...actor, color, x: actor.x + dx, y: actor.y + dy };
}

function isInside(object: SceneObject): boolean {
  const margin = object.radius * 1.1;
  return Math.min(object.x, object.y, 1 - object.x, 1 - object.y) >= margin;
}

function otherLook(looks: readonly Look[], at: number): Look {
  const look = looks[at];
  if (look === undefined) throw new RangeError(`[clip] look ${at} of ${looks.length} is missing`);
  return look;
}

/** A random clip, or null when the way leaves the picture or meets the bystander. */
export function randomClip(random: Random): Clip | null {
  const motion = random.pick(motions);
  const looks = randomLooks(random, 2);
  const hasBystander = random.chance(0.5);
  const actor = placeAnywhere(random, otherLook(looks, 0));
  const bystander = hasBystander ? placeAnywhere(random, otherLook(looks, 1)) : null;
  // A question names an object by its shape.
  if (bystander?.shape === actor.shape) return null;
  const newColor = motion === 'recolor' ? random.pick(colors.filter((color) => color !== actor.color)) : null;
  const turn = 3 + random.integer(3);
  const reach = random.between(0.3, 0.5);
  const setting = randomSetting(random);
  const frames: Scene[] = [];
  for (let frame = 0; frame < clipFrames; frame++) {
    const shown = actorAt(motion, actor, newColor, frame, turn, reach);
    if (shown !== null && !isInside(shown)) return null;
    if (shown !== null && bystander !== null && !areApart(shown, bystander)) return null;
    frames.push({ ...setting, objects: [shown, bystander].filter((object) => object !== null) });
  }
  return { motion, actor, newColor, bystander, frames };
}

/** What a clip is about: the actor in its colours, and the bystander. */
export function clipFocus(clip: Clip): SceneObject[] {
  const turned = clip.newColor === null ? [] : [{ ...clip.actor, color: clip.newColor }];
  return [clip.actor, ...turned];
}
