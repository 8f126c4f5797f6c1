import { EmuError } from '@emu/sdk';

import type { Goldens } from './goldens.js';
import type { Recorder } from './recorder.js';
import type { Stage } from './stage.js';
import type { Subjects } from './subject.js';
import { generateImageStage } from './stages/generate-image.js';
import { generationStage } from './stages/generation.js';
import { instructStage } from './stages/instruct.js';
import { llmStage } from './stages/llm.js';
import { processorsStage, samplingStage } from './stages/logits.js';
import { pipelineStage } from './stages/pipeline.js';
import { preprocessStage } from './stages/preprocess.js';
import { rankingStage } from './stages/ranking.js';
import { safetyStage } from './stages/safety.js';
import { schedulersStage } from './stages/schedulers.js';
import { tokenizerStage } from './stages/tokenizer.js';
import { trainingStage } from './stages/training.js';
import { unetStage } from './stages/unet.js';
import { vaeStage } from './stages/vae.js';
import { visionStage } from './stages/vision.js';

/** Every stage, in the order in which data meets them. */
export const stages: readonly Stage[] = [
  tokenizerStage,
  preprocessStage,
  visionStage,
  llmStage,
  samplingStage,
  processorsStage,
  rankingStage,
  generationStage,
  instructStage,
  generateImageStage,
  unetStage,
  vaeStage,
  schedulersStage,
  safetyStage,
  pipelineStage,
  trainingStage,
];

/** @throws EmuError INVALID_OPTION for a name that no stage has. */
export function chosenStages(names: readonly string[] | undefined): readonly Stage[] {
  if (names === undefined || names.length === 0) return stages;
  return names.map((name) => {
    const stage = stages.find((candidate) => candidate.name === name);
    if (stage !== undefined) return stage;
    throw new EmuError('INVALID_OPTION', `[verify] no stage is called "${name}"`, {
      hint: `The stages are ${stages.map((known) => known.name).join(', ')}.`,
      details: { stage: name },
    });
  });
}

/** Stages of a folder that no code here runs, with their number of tensors: what a run leaves unsaid. */
export function uncoveredStages(goldens: Goldens): readonly string[] {
  const known = new Set(stages.flatMap(({ name, covers = [] }) => [name, ...covers]));
  const counts = new Map<string, number>();
  for (const { stage } of goldens.entries) {
    if (!known.has(stage)) counts.set(stage, (counts.get(stage) ?? 0) + 1);
  }
  return [...counts].map(([stage, count]) => `${stage} (${count} tensors)`);
}

/** Runs stages one after the other; a stage that cannot run is recorded as failed, and the others go on. */
export async function verify(
  chosen: readonly Stage[],
  goldens: Goldens,
  subjects: Subjects,
  recorder: Recorder,
  signal: AbortSignal,
): Promise<void> {
  for (const stage of chosen) {
    signal.throwIfAborted();
    try {
      await stage.run({ goldens, subjects, recorder });
    } catch (error) {
      recorder.failure('', stage.name, error);
    }
  }
}
