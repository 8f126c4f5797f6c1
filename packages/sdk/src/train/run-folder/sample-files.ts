import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { makeFolder, writeFileAtomically } from '../../weights/atomic-file.js';
import type { TrainingSample } from '../task.js';

const listFile = 'samples.json';
const folderName = /^step-(\d+)$/;

const listSchema = z.array(
  z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('text'), name: z.string(), prompt: z.string(), text: z.string() }),
    z.object({ kind: z.literal('image'), name: z.string(), prompt: z.string(), file: z.string() }),
  ]),
);

/** Writes `samples/step-<step>`: pictures and a list of all samples with their prompts. Returns the folder. */
export async function writeSamples(
  runFolder: string,
  step: number,
  samples: readonly TrainingSample[],
): Promise<string> {
  const folder = join(runFolder, 'samples', `step-${step}`);
  await makeFolder(folder);
  const list: z.output<typeof listSchema> = [];
  for (const [index, sample] of samples.entries()) {
    if (sample.kind === 'text') {
      list.push(sample);
      continue;
    }
    const { kind, name, prompt, png } = sample;
    const file = `${String(index).padStart(2, '0')}-${name.replace(/[^\w-]+/g, '-').slice(0, 60)}.png`;
    await writeFileAtomically(join(folder, file), (put) => put(png));
    list.push({ kind, name, prompt, file });
  }
  // Last, so that a list never names a picture that is not there.
  const text = new TextEncoder().encode(`${JSON.stringify(list, null, 2)}\n`);
  await writeFileAtomically(join(folder, listFile), (put) => put(text));
  return folder;
}

/** The samples of a run, by step, oldest first. A folder that a killed process left without a list is passed over. */
export async function readSamples(
  runFolder: string,
): Promise<readonly { readonly step: number; readonly samples: readonly TrainingSample[] }[]> {
  const names = await readdir(join(runFolder, 'samples')).catch(() => []);
  const steps = names.flatMap((name) => folderName.exec(name)?.[1] ?? []).map(Number);
  const found = await Promise.all(
    steps
      .sort((a, b) => a - b)
      .map(async (step) => {
        const folder = join(runFolder, 'samples', `step-${step}`);
        return { step, samples: await readFolder(folder).catch(() => []) };
      }),
  );
  return found.filter(({ samples }) => samples.length > 0);
}

async function readFolder(folder: string): Promise<readonly TrainingSample[]> {
  const list = listSchema.parse(JSON.parse(await readFile(join(folder, listFile), 'utf8')));
  return Promise.all(
    list.map(async (sample): Promise<TrainingSample> => {
      if (sample.kind === 'text') return sample;
      const { kind, name, prompt, file } = sample;
      return { kind, name, prompt, png: await readFile(join(folder, file)) };
    }),
  );
}
