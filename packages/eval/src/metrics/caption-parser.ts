import {
  backgrounds,
  colors,
  oppositeRelation,
  shapes,
  styles,
  textures,
  type Background,
  type Color,
  type Relation,
  type Shape,
  type Size,
  type Style,
  type Texture,
} from '@emu/data';
import { wordsOf } from './corpus.js';

/** What a caption claims of one object; null where it says nothing. */
export interface ClaimedObject {
  readonly shape: Shape;
  readonly color: Color | null;
  readonly size: Size | null;
  readonly texture: Texture | null;
}

/** What a caption claims. */
export interface ParsedCaption {
  readonly objects: readonly ClaimedObject[];
  /** Of the first object to the second, when the words between them say so. */
  readonly relation: Relation | null;
  /** `plain` where no style is named. */
  readonly style: Style;
  readonly background: Background | null;
}

const sizeOfWord: ReadonlyMap<string, Size> = new Map([
  ['small', 'small'],
  ['little', 'small'],
  ['tiny', 'small'],
  ['large', 'large'],
  ['big', 'large'],
  ['huge', 'large'],
]);

const textureOfWord: ReadonlyMap<string, Texture> = new Map([
  ['striped', 'striped'],
  ['stripes', 'striped'],
  ['dotted', 'dotted'],
  ['dots', 'dotted'],
  ['solid', 'solid'],
]);

const relationOfWord: ReadonlyMap<string, Relation> = new Map([
  ['left', 'left-of'],
  ['right', 'right-of'],
  ['above', 'above'],
  ['over', 'above'],
  ['below', 'below'],
  ['under', 'below'],
]);

function memberOf<T extends string>(list: readonly T[], word: string): T | null {
  return list.find((item) => item === word) ?? null;
}

/** The relation a word starts: `left` and `right` only before `of`, so that `at the left` is a place. */
function relationAt(words: readonly string[], at: number): Relation | null {
  const word = words[at] ?? '';
  const relation = relationOfWord.get(word) ?? null;
  return (word === 'left' || word === 'right') && words[at + 1] !== 'of' ? null : relation;
}

/** The shape a word names, also in the plural. */
function shapeOf(word: string): Shape | null {
  return memberOf(shapes, word) ?? memberOf(shapes, word.replace(/(?<=ss)es$|s$/, ''));
}

interface Adjectives {
  color: Color | null;
  size: Size | null;
  texture: Texture | null;
}

function noAdjectives(): Adjectives {
  return { color: null, size: null, texture: null };
}

/** Reads `with stripes` and `with dots` back onto the object before them. */
function withLaterTexture(objects: ClaimedObject[], texture: Texture): void {
  const last = objects.pop();
  if (last !== undefined) objects.push({ ...last, texture });
}

/**
 * Reads a caption of the drawn world, whatever its paraphrase, back into what it claims. It walks over the words, so
 * that a caption a model wrote yields what can be read even where its grammar is broken; unknown words say nothing.
 */
export function parseCaption(caption: string): ParsedCaption {
  const words = wordsOf(caption.toLowerCase().replace(/[^a-z]+/g, ' '));
  const objects: ClaimedObject[] = [];
  let adjectives = noAdjectives();
  let relation: Relation | null = null;
  let style: Style = 'plain';
  let background: Background | null = null;
  words.forEach((word, at) => {
    const shape = shapeOf(word);
    if (shape !== null) {
      objects.push({ shape, ...adjectives });
      adjectives = noAdjectives();
      return;
    }
    const texture = textureOfWord.get(word);
    if (texture !== undefined && words[at - 1] === 'with') withLaterTexture(objects, texture);
    else adjectives.texture = texture ?? adjectives.texture;
    adjectives.color = memberOf(colors, word) ?? adjectives.color;
    adjectives.size = sizeOfWord.get(word) ?? adjectives.size;
    style = memberOf(styles, word) ?? style;
    if (words[at + 1] === 'background') background = memberOf(backgrounds, word) ?? background;
    if (objects.length === 1) relation ??= relationAt(words, at);
  });
  return { objects, relation: objects.length >= 2 ? relation : null, style, background };
}

/** How one of two objects lies to the other under one name, whichever came first. */
export function canonicalRelation(a: Shape, relation: Relation, b: Shape): string {
  const isTurned = relation === 'right-of' || relation === 'below';
  return isTurned ? `${b} ${oppositeRelation(relation)} ${a}` : `${a} ${relation} ${b}`;
}

/** Whether a texture needs a word: a solid object is just an object. */
export function isMarked(texture: Texture | null): texture is Texture {
  return texture !== null && texture !== textures[0];
}
