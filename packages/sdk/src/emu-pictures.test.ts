import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { image } from './image/media.js';
import { testDevices } from './testing/generation-devices.js';
import { Emu } from './node.js';
import {
  referenceExists,
  referenceFloats,
  referenceJson,
  referencePath,
  referenceTensor,
} from './testing/reference-data.js';
import { relativeL2 } from './testing/reference-model.js';

interface GoldenPicture {
  readonly inputs: readonly string[];
  readonly width: number;
  readonly height: number;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly timesteps: readonly number[];
  readonly nsfw: boolean;
}

const goldens = referenceExists ? referenceJson<Record<string, GoldenPicture>>('goldens/pipelines.json') : {};
const file = 'pipeline.safetensors';

/** The authors' inputs: `image0` stands for a picture, anything else is text. */
function promptOf(inputs: readonly string[]) {
  return inputs.map((input) =>
    /^image\d$/.test(input) ? image(referencePath(`inputs/${input}.png`)) : input,
  );
}

describe.skipIf(!referenceExists).each(testDevices)(
  'pictures of an Emu on %s, against the authors',
  (device) => {
    let emu: Emu;

    beforeAll(async () => {
      emu = await Emu.fromPretrained(referencePath('checkpoint'), { device, dtype: 'f32' });
    });
    afterAll(() => emu.dispose());

    it.each(Object.entries(goldens))('%s', async (name, golden) => {
      const start = referenceFloats(`goldens/${file}`, `${name}.start`);
      const prompt = promptOf(golden.inputs);
      const options = {
        width: golden.width,
        height: golden.height,
        steps: golden.num_inference_steps,
        guidanceScale: golden.guidance_scale,
        latents: start,
        seed: 1,
      } as const;
      const isBlend = golden.inputs.every((input) => /^image\d$/.test(input));
      const stream = isBlend
        ? emu.blend(
            prompt.filter((item) => typeof item !== 'string'),
            options,
          )
        : emu.imagine(prompt, options);
      const steps: number[] = [];
      for await (const event of stream) if (event.type === 'image-progress') steps.push(event.step);
      const [picture] = await stream.images();
      if (picture === undefined) throw new Error('no picture');

      const { data: level } = referenceTensor(`goldens/${file}`, `${name}.image_u8`);
      const difference = picture.data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - Number(level[i]))),
        0,
      );
      expect(difference).toBeLessThanOrEqual(1);
      expect(picture.flagged).toBe(golden.nsfw);
      expect(steps).toEqual(golden.timesteps.map((_, index) => index + 1));
      const condition = referenceFloats(`goldens/${file}`, `${name}.prompt_embeds`).slice(
        0,
        picture.embeddings.data.length,
      );
      expect(relativeL2(picture.embeddings.data, condition)).toBeLessThan(1e-4);
    });
  },
);
