import { EmuError } from '@emu/program';

import { clipImageProcessor, parseClipImageConfig } from '../image/clip-image-processor.js';
import type { Pixels } from '../image/pixels.js';
import { safetyCheckerProgram } from '../models/safety-checker.js';
import { safetyVerdicts, type SafetyConcepts, type SafetyVerdict } from '../models/safety-verdict.js';
import type { LoadedModel } from '../session.js';
import { visualDecoderOf } from './visual-decoder.js';

const conceptsOf = new WeakMap<LoadedModel, Promise<SafetyConcepts>>();

/**
 * Judges a picture with the model's safety checker.
 * @throws EmuError CAPABILITY_MISSING when the model has none.
 * Source: Emu1/models/pipeline.py, run_safety_checker.
 */
export async function checkSafety(
  model: LoadedModel,
  picture: Pixels,
  signal?: AbortSignal,
): Promise<SafetyVerdict> {
  const { safetyChecker: config } = visualDecoderOf(model);
  if (config === undefined)
    throw new EmuError('CAPABILITY_MISSING', '[picture] the model has no safety checker');
  await model.load('safety', { signal });
  const executable = model.compiled('safety', () => safetyCheckerProgram(config, 1));
  const pixels = clipImageProcessor(picture, parseClipImageConfig(model.files.featureExtractor ?? {}));
  const { imageEmbeddings } = await executable.run({ pixels: pixels.data }, signal ? { signal } : {});
  if (!(imageEmbeddings instanceof Float32Array)) {
    throw new EmuError('INTERNAL', '[picture] the safety checker returned no embedding');
  }
  const concepts = conceptsOf.get(model) ?? readConcepts(model);
  conceptsOf.set(model, concepts);
  const [verdict] = safetyVerdicts(imageEmbeddings, config.projectionWidth, await concepts);
  if (verdict === undefined) throw new EmuError('INTERNAL', '[picture] the safety checker gave no verdict');
  return verdict;
}

async function readConcepts(model: LoadedModel): Promise<SafetyConcepts> {
  const read = (name: string): Promise<Float32Array> =>
    model.files.readFloats(model.tensor('safetyChecker', name));
  return {
    concepts: { embeddings: await read('concept_embeds'), thresholds: await read('concept_embeds_weights') },
    specialCare: {
      embeddings: await read('special_care_embeds'),
      thresholds: await read('special_care_embeds_weights'),
    },
  };
}

/** A black picture of the same size. */
export function blackened({ width, height }: Pixels): Pixels {
  return { width, height, data: new Uint8Array(3 * width * height) };
}
