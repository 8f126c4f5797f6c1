import type { Random } from '../random.js';
import type { SampleImage } from '../sample.js';
import { backgrounds, colors } from './attributes.js';

/** Shares of red, green and blue in a gray; together 1. */
export type GrayMix = readonly [number, number, number];

const colorWords: ReadonlySet<string> = new Set<string>([...colors, ...backgrounds, 'color']);

/** Whether a text names a color of an object or of a background, or asks for one. */
export function namesColor(text: string): boolean {
  return text.split(/[^a-z]+/).some((word) => colorWords.has(word));
}

/** A different mix each time: what is as bright as its background in one stands out in another. */
export function randomGrayMix(random: Random): GrayMix {
  const shares = [random.unit() + 0.05, random.unit() + 0.05, random.unit() + 0.05] as const;
  const sum = shares[0] + shares[1] + shares[2];
  return [shares[0] / sum, shares[1] / sum, shares[2] / sum];
}

/** The picture without its colors. */
export function grayed(image: SampleImage, mix: GrayMix): SampleImage {
  const data = new Uint8Array(image.data.length);
  for (let at = 0; at < data.length; at += 3) {
    const [red = 0, green = 0, blue = 0] = image.data.subarray(at, at + 3);
    data.fill(Math.round(red * mix[0] + green * mix[1] + blue * mix[2]), at, at + 3);
  }
  return { ...image, data };
}
