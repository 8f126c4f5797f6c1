import {
  drawSample,
  drawScene,
  relationBetween,
  type DrawnRecipe,
  type SampleImage,
  type SampleSplit,
  type Scene,
} from '@emu/data';
import { describe, expect, it } from 'vitest';
import { judgePicture, showsExactly, showsRelation } from './judge.js';

/** Fresh scenes of one and two objects. */
function scenes(split: SampleSplit, count: number): Scene[] {
  const recipe: DrawnRecipe = {
    name: 'judged',
    size: 16,
    kinds: { pair: 1 },
    shots: [0],
    classes: 3,
    examples: { pictures: 1 },
    alike: 1,
    leastObjects: 1,
    mostObjects: 2,
    questions: 1,
    gray: 0,
    seed: 77,
    split,
  };
  const found: Scene[] = [];
  for (let index = 0; found.length < count; index++) {
    const [scene] = drawSample(recipe, index).meta?.scenes ?? [];
    if (scene !== undefined) found.push(scene);
  }
  return found;
}

/** Whether objects, sizes, style and relation are all right. */
function isRight(picture: SampleImage, scene: Scene): boolean {
  const judged = judgePicture(picture);
  const [a, b] = scene.objects;
  const sizes = scene.objects.every(({ color, shape, size }) =>
    judged.objects.some((object) => object.color === color && object.shape === shape && object.size === size),
  );
  return (
    showsExactly(judged, scene.objects) &&
    sizes &&
    judged.style === scene.style &&
    (a === undefined || b === undefined || showsRelation(judged, a, relationBetween(a, b), b))
  );
}

/** A binomial blur over three pixels, then colour noise: about what a small VAE does to a picture. */
function damaged(picture: SampleImage, noise: number): SampleImage {
  const { width, height, data } = picture;
  const clamp = (value: number, last: number): number => Math.min(last, Math.max(0, value));
  let state = 12345;
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) {
            const index = (clamp(y + dy, height - 1) * width + clamp(x + dx, width - 1)) * 3 + channel;
            sum += ((2 - Math.abs(dx)) * (2 - Math.abs(dy)) * (data[index] ?? 0)) / 16;
          }
        }
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        out[(y * width + x) * 3 + channel] = clamp(Math.round(sum + noise * (state / 2 ** 31 - 1)), 255);
      }
    }
  }
  return { width, height, data: out };
}

function shareRight(list: readonly Scene[], picture: (scene: Scene) => SampleImage): number {
  return list.filter((scene) => isRight(picture(scene), scene)).length / list.length;
}

describe('judge of pictures', () => {
  it('is right on at least 99 in 100 true renderings, seen combinations and held-out ones', () => {
    expect(shareRight(scenes('evaluation', 120), (scene) => drawScene(scene, 64))).toBeGreaterThanOrEqual(
      0.99,
    );
    expect(shareRight(scenes('held-out', 80), (scene) => drawScene(scene, 64))).toBeGreaterThanOrEqual(0.98);
  });

  it('stands a blur and colour noise', () => {
    const list = scenes('evaluation', 80);
    expect(shareRight(list, (scene) => damaged(drawScene(scene, 64), 10))).toBeGreaterThanOrEqual(0.95);
  });

  it('looks at pictures of other sizes', () => {
    expect(shareRight(scenes('evaluation', 20), (scene) => drawScene(scene, 128))).toBeGreaterThanOrEqual(
      0.95,
    );
  });

  it('tells a right picture from a wrong one', () => {
    const scene: Scene = {
      background: 'gray',
      gradient: 0,
      style: 'plain',
      objects: [
        { shape: 'star', color: 'yellow', size: 'large', texture: 'solid', x: 0.3, y: 0.5, radius: 0.2 },
        { shape: 'ring', color: 'blue', size: 'small', texture: 'solid', x: 0.8, y: 0.5, radius: 0.12 },
      ],
    };
    const judged = judgePicture(drawScene(scene, 64));
    const [star, ring] = [
      { color: 'yellow', shape: 'star' } as const,
      { color: 'blue', shape: 'ring' } as const,
    ];
    expect(showsExactly(judged, [star, ring])).toBe(true);
    expect(showsExactly(judged, [star])).toBe(false);
    expect(showsExactly(judged, [star, star])).toBe(false);
    expect(showsExactly(judged, [star, { ...ring, color: 'green' }])).toBe(false);
    expect(showsRelation(judged, star, 'left-of', ring)).toBe(true);
    expect(showsRelation(judged, ring, 'left-of', star)).toBe(false);
    expect(showsRelation(judged, star, 'above', ring)).toBe(false);
  });

  it('sees nothing in an empty picture and no shape in noise', () => {
    const grey = { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(138) };
    expect(judgePicture(grey)).toEqual({ objects: [], background: 'gray', style: 'plain' });
    const noise = damaged({ ...grey, data: grey.data.map((_, at) => (at * 7919) % 256) }, 120);
    expect(() => judgePicture(noise)).not.toThrow();
  });

  it('refuses what is no square picture', () => {
    const data = new Uint8Array(12);
    expect(() => judgePicture({ width: 4, height: 1, data })).toThrow(
      '[judge] needs a square RGB picture, got 4x1 with 12 bytes',
    );
    expect(() => judgePicture({ width: 4, height: 4, data })).toThrow('got 4x4 with 12 bytes');
  });
});
