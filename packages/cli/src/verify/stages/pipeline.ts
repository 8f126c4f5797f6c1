import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeImage } from '@emu/sdk';

import { list, record, text, type JsonRecord } from '../goldens.js';
import type { Stage, StageContext } from '../stage.js';
import { paintCase } from '../paint.js';

const file = 'pipeline.safetensors';

/** Whole pictures: prompt, roll-out, guided denoising, decoding, safety checker. */
export const pipelineStage: Stage = {
  name: 'pipeline',
  async run(context) {
    const document = await context.goldens.json('pipelines.json');
    for (const [name, golden] of Object.entries(document ?? {})) {
      await pictureCase(context, name, record(golden));
    }
  },
};

async function pictureCase(context: StageContext, name: string, golden: JsonRecord): Promise<void> {
  const { goldens, recorder } = context;
  const subject = await context.subjects.base();
  const inputs = list(golden['inputs']).map(text);
  const parts = await Promise.all(
    inputs.map(async (input) => {
      const picture = /^image(\d+)$/.exec(input)?.[1];
      const path = picture === undefined ? undefined : goldens.images[Number(picture)];
      return path === undefined ? input : decodeImage(await readFile(join(goldens.root, path)));
    }),
  );
  const start = await goldens.input(file, `${name}.start`);
  const painted = await paintCase(subject, {
    parts,
    height: Number(golden['height']),
    width: Number(golden['width']),
    steps: Number(golden['num_inference_steps']),
    guidanceScale: Number(golden['guidance_scale']),
    latents: start.data as Float32Array,
  });
  const { queries } = subject.config.causalTransformer;
  const { width } = subject.config.llama;
  const rows = painted.condition.length / (queries * width);
  await recorder.floats(file, `${name}.prompt_embeds`, [rows, queries, width], painted.condition);
  recorder.value('pipelines.json', `${name}.timesteps`, painted.timesteps, golden['timesteps']);
  await recordLatents(context, name, painted.latents, start.shape.slice(1));
  await recorder.floats(
    file,
    `${name}.noise_pred_step0`,
    [rows, ...start.shape.slice(1)],
    painted.firstNoise,
  );
  const shape = [Number(golden['height']), Number(golden['width']), 3];
  await recorder.floats(file, `${name}.image`, [1, ...shape], painted.image);
  await recorder.bytes(file, `${name}.image_u8`, shape, painted.pixels, { integer: 1 });
  recorder.value('pipelines.json', `${name}.nsfw`, painted.flagged, golden['nsfw']);
}

/** Latents after every step, or after the steps that the reference kept of a long run. */
async function recordLatents(
  { goldens, recorder }: StageContext,
  name: string,
  latents: readonly Float32Array[],
  shape: readonly number[],
): Promise<void> {
  const kept = goldens.entry(file, `${name}.latents`)?.shape[0] ?? latents.length;
  const last = latents.length - 1;
  const steps = kept === latents.length ? [...latents.keys()] : [0, 1, 2, 3, 10, 25, last].slice(0, kept);
  const data = Float32Array.from(steps.flatMap((step) => [...(latents[step] ?? [])]));
  await recorder.floats(file, `${name}.latents`, [steps.length, ...shape], data);
}
