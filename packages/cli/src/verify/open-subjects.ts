import { backendOf, EmuError, LoadedModel, readModelFiles, type Device } from '@emu/sdk';
import type { ComponentName } from '@emu/sdk/models';
import type { Program } from '@emu/program';

import type { Subject, Subjects } from './subject.js';

export interface SubjectOptions {
  readonly device: Device;
  readonly dtype: 'f32' | 'bf16';
}

/** The models of a folder, opened when a stage first asks for them. */
export function openSubjects(
  path: string,
  options: SubjectOptions,
  signal: AbortSignal,
): Subjects & { dispose(): Promise<void> } {
  const opened: Promise<OpenSubject | undefined>[] = [];
  const once = (open: () => Promise<OpenSubject | undefined>): (() => Promise<OpenSubject | undefined>) => {
    let subject: Promise<OpenSubject | undefined> | undefined;
    return () => {
      if (subject === undefined) opened.push((subject = open()));
      return subject;
    };
  };
  const base = once(() => openSubject(path, 'pretrain', options, signal));
  const instruct = once(() => openInstruct(path, options, signal));
  return {
    base: async () => {
      const found = await base();
      if (found === undefined) throw new EmuError('MODEL_NOT_FOUND', `[verify] ${path} holds no model`);
      return found.subject;
    },
    instruct: async () => (await instruct())?.subject,
    dispose: async () => {
      for (const subject of await Promise.allSettled(opened)) {
        if (subject.status === 'fulfilled') await subject.value?.model.dispose();
      }
    },
  };
}

interface OpenSubject {
  readonly model: LoadedModel;
  readonly subject: Subject;
}

/** The instruct model of a folder, or undefined when there is none. */
async function openInstruct(
  path: string,
  options: SubjectOptions,
  signal: AbortSignal,
): Promise<OpenSubject | undefined> {
  try {
    return await openSubject(path, 'instruct', options, signal);
  } catch (error) {
    if (EmuError.isInstance(error) && error.code === 'MODEL_NOT_FOUND') return undefined;
    throw error;
  }
}

async function openSubject(
  path: string,
  variant: 'pretrain' | 'instruct',
  { device, dtype }: SubjectOptions,
  signal: AbortSignal,
): Promise<OpenSubject> {
  const files = await readModelFiles(path, { variant });
  const backend = backendOf(device);
  const model = await LoadedModel.open(files, backend, { dtype, signal, preload: ['language'] });
  const readFloats = (name: string): Promise<Float32Array> =>
    files.readFloats(model.tensor('safetyChecker', name));
  const subject: Subject = {
    model,
    config: files.config,
    tokenizer: files.tokenizer,
    decoder: await model.decoder(),
    dtype,
    schedulerConfig: files.scheduler ?? {},
    clipImageConfig: files.featureExtractor ?? {},
    async run(program, inputs) {
      await model.loadFor(program, componentOf(program), { signal });
      return model.compiled(keyOf(program), () => program).run(inputs, { signal });
    },
    openSession: () => backend.openSession(),
    tensor: (name) => model.tensor('multimodal', name),
    safetyConcepts: async () => ({
      concepts: {
        embeddings: await readFloats('concept_embeds'),
        thresholds: await readFloats('concept_embeds_weights'),
      },
      specialCare: {
        embeddings: await readFloats('special_care_embeds'),
        thresholds: await readFloats('special_care_embeds_weights'),
      },
    }),
  };
  return { model, subject };
}

const componentPrefixes: readonly (readonly [string, ComponentName])[] = [
  ['unet.', 'unet'],
  ['vae-', 'vae'],
  ['safety-checker.', 'safetyChecker'],
];

function componentOf({ name }: Program): ComponentName {
  return componentPrefixes.find(([prefix]) => name.startsWith(prefix))?.[1] ?? 'multimodal';
}

/** Programs of one name and the same outputs are the same. */
function keyOf({ name, values, outputs }: Program): string {
  return `verify/${name}/${outputs.map((output) => output.name).join()}/${values.length}`;
}
