import {
  relationBetween,
  type Background,
  type Color,
  type Relation,
  type SampleImage,
  type Shape,
  type Size,
  type Style,
  type Texture,
} from '@emu/data';
import { judgeSide, toCanvas } from './canvas.js';
import { judgeColor } from './color.js';
import { backgroundRows, findRegions } from './regions.js';
import { judgeShape } from './shape.js';
import { judgeSetting } from './style.js';

/** An object the judge sees. Lengths are fractions of the picture's side. */
export interface JudgedObject {
  readonly shape: Shape;
  readonly color: Color;
  readonly size: Size;
  readonly texture: Texture;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** How well the shape fits, 0..1; true renderings have 0.75 and more. */
  readonly overlap: number;
}

/** What the judge sees in a picture, the largest object first. */
export interface JudgedPicture {
  readonly objects: readonly JudgedObject[];
  readonly background: Background;
  readonly style: Style;
}

/** Small radii end at 0.13 and large ones begin at 0.19. */
const sizeBorder = 0.16;

/** Below this nothing that was found has a shape of the drawn world. */
const leastOverlap = 0.5;

/**
 * Says what a picture of the drawn world shows, from its pixels alone: objects with colour, shape, size and texture,
 * the background and the style. It knows the world's shapes and colours and nothing of the scene.
 * picture: square RGB of any size (looked at in 64x64).
 * @throws EmuError INVALID_IMAGE for a picture that is not square or whose bytes do not fit its size.
 */
export function judgePicture(picture: SampleImage): JudgedPicture {
  const { style, background, plain } = judgeSetting(toCanvas(picture));
  const rows = backgroundRows(plain);
  const objects = findRegions(plain, rows).flatMap((region): JudgedObject[] => {
    const { color, texture } = judgeColor(plain, region);
    const { shape, x, y, radius, overlap } = judgeShape({ canvas: plain, rows, color, texture, region });
    if (overlap < leastOverlap) return [];
    const part = radius / judgeSide;
    return [
      {
        shape,
        color,
        texture,
        size: part < sizeBorder ? 'small' : 'large',
        x: x / judgeSide,
        y: y / judgeSide,
        radius: part,
        overlap,
      },
    ];
  });
  return { objects, background, style };
}

/** A colour and a shape that an object should have. */
export interface Wanted {
  readonly color: Color;
  readonly shape: Shape;
}

/** The object with this colour and shape, if the judge saw one. */
export function findObject(picture: JudgedPicture, { color, shape }: Wanted): JudgedObject | null {
  return picture.objects.find((object) => object.color === color && object.shape === shape) ?? null;
}

/** Whether the judge saw exactly these objects: none missing, none too many. */
export function showsExactly(picture: JudgedPicture, wanted: readonly Wanted[]): boolean {
  const left = picture.objects.map(({ color, shape }) => `${color} ${shape}`);
  for (const { color, shape } of wanted) {
    const index = left.indexOf(`${color} ${shape}`);
    if (index < 0) return false;
    left.splice(index, 1);
  }
  return left.length === 0;
}

/** Whether the judge saw both objects, the first in the relation to the second. */
export function showsRelation(picture: JudgedPicture, a: Wanted, relation: Relation, b: Wanted): boolean {
  const [first, second] = [findObject(picture, a), findObject(picture, b)];
  return first !== null && second !== null && first !== second && relationBetween(first, second) === relation;
}
