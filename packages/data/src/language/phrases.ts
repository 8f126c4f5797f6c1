import type { Random } from '../random.js';
import type { Background, Size, Style } from '../world/attributes.js';
import type { Relation, SceneObject } from '../world/scene.js';

/** Words for each size. */
export const sizeWords: Readonly<Record<Size, readonly string[]>> = {
  small: ['small', 'little', 'tiny'],
  large: ['large', 'big', 'huge'],
};

/** Phrases between two noun phrases, for each relation. */
export const relationPhrases: Readonly<Record<Relation, readonly string[]>> = {
  'left-of': ['left of', 'to the left of', 'on the left of'],
  'right-of': ['right of', 'to the right of', 'on the right of'],
  above: ['above', 'over'],
  below: ['below', 'under'],
};

/** `{}` stands for what the picture shows. A plain picture needs no word for its style. */
export const styleFrames: Readonly<Record<Style, readonly string[]>> = {
  plain: [
    '{}',
    'there is {}',
    'a picture of {}',
    'an image of {}',
    'this picture shows {}',
    'here is {}',
    'we see {}',
  ],
  pastel: ['a pastel picture of {}', '{} in pastel', 'a pastel of {}', 'this pastel shows {}'],
  night: ['a night picture of {}', '{} at night', 'a night scene with {}', 'this night picture shows {}'],
  mosaic: ['a mosaic picture of {}', '{} as a mosaic', 'a mosaic of {}', 'this mosaic shows {}'],
  sketch: ['a sketch picture of {}', '{} as a sketch', 'a sketch of {}', 'this sketch shows {}'],
};

/** `a` or `an`, then the words. */
export function withArticle(words: string): string {
  return `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;
}

/** Which attributes beyond colour and shape a phrase names. */
export interface Detail {
  readonly size: boolean;
  readonly texture: boolean;
}

/** What is said about texture always (when it is not solid) and about size half of the time. */
export function randomDetail(random: Random): Detail {
  return { size: random.chance(0.5), texture: true };
}

/** A noun phrase without an article, `small striped red circle` or `small red circle with stripes`. */
export function nounPhrase(random: Random, object: SceneObject, detail: Detail): string {
  const words: string[] = [];
  if (detail.size) words.push(random.pick(sizeWords[object.size]));
  const isTextured = detail.texture && object.texture !== 'solid';
  const isAfter = isTextured && random.chance(0.3);
  if (isTextured && !isAfter) words.push(object.texture);
  words.push(object.color, object.shape);
  if (isAfter) words.push(object.texture === 'striped' ? 'with stripes' : 'with dots');
  return words.join(' ');
}

/** The background as a phrase that follows a noun phrase. */
export function backgroundPhrase(random: Random, background: Background): string {
  const words = withArticle(`${background} background`);
  return `${random.pick(['on', 'in front of', 'against'])} ${words}`;
}

/** Where an object lies in the picture, or null where that is not clear cut. */
export function placePhrase(object: SceneObject): string | null {
  const horizontal = object.x < 0.36 ? 'left' : object.x > 0.64 ? 'right' : null;
  const vertical = object.y < 0.36 ? 'top' : object.y > 0.64 ? 'bottom' : null;
  if (horizontal !== null && vertical !== null) return `at the ${vertical} ${horizontal}`;
  if (Math.abs(object.x - 0.5) < 0.08 && Math.abs(object.y - 0.5) < 0.08) return 'in the center';
  if (vertical !== null && Math.abs(object.x - 0.5) < 0.08) return `at the ${vertical}`;
  if (horizontal !== null && Math.abs(object.y - 0.5) < 0.08) return `at the ${horizontal}`;
  return null;
}
