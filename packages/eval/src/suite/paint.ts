import type { SampleImage, Scene } from '@emu/data';
import { relationBetween } from '@emu/data';
import type { Emu, GenerationStream, PictureOptions, PromptItem } from '@emu/sdk';

import { judgePicture, showsExactly, showsRelation, type JudgedPicture } from '../judge/judge.js';
import type { TestSettings } from './suite-test.js';

/** Options of painting `index`: every painting begins with its own noise. */
export function pictureOptions(settings: TestSettings, index: number): PictureOptions {
  const { steps, guidanceScale, seed, signal } = settings;
  return {
    steps,
    seed: seed + index,
    safetyChecker: 'off',
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(signal && { signal }),
  };
}

/** The picture of a stream that makes one. */
export async function paintedBy(stream: GenerationStream): Promise<SampleImage> {
  const [painted] = await stream.images();
  if (painted === undefined) throw new RangeError('[suite] the model finished without a picture');
  return painted;
}

/** The picture that a model paints of a prompt. */
export function paint(
  emu: Emu,
  prompt: PromptItem | readonly PromptItem[],
  settings: TestSettings,
  index: number,
): Promise<SampleImage> {
  return paintedBy(emu.imagine(prompt, pictureOptions(settings, index)));
}

/** What a picture shows. */
export function seen(picture: SampleImage): JudgedPicture {
  return judgePicture(picture);
}

/**
 * Whether a picture shows just the objects of a scene, in colour and shape, none more, and, of two, their relation.
 */
export function showsScene(picture: JudgedPicture, { objects }: Scene): boolean {
  if (!showsExactly(picture, objects)) return false;
  const [a, b] = objects;
  if (a === undefined || b === undefined || objects.length !== 2) return true;
  return showsRelation(picture, a, relationBetween(a, b), b);
}
