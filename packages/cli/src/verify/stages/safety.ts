import { clipImageProcessor, parseClipImageConfig, rgbPixels } from '@emu/sdk/image';
import { safetyCheckerProgram, safetyVerdicts } from '@emu/sdk/models';

import type { Stage } from '../stage.js';

const file = 'safety.safetensors';

/** The safety checker: preprocessing, CLIP embeddings, scores and verdicts. */
export const safetyStage: Stage = {
  name: 'safety',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.base();
    const config = subject.config.visualDecoder?.safetyChecker;
    if (config === undefined) throw new Error('the checkpoint has no safety_checker/');
    const images = await goldens.input(file, 'images_u8');
    const [count = 0, height = 0, width = 0] = images.shape;
    const clipConfig = parseClipImageConfig(subject.clipImageConfig);
    const size = height * width * 3;
    const processed = Array.from({ length: count }, (_, index) => {
      const bytes = (images.data as Uint8Array).slice(index * size, (index + 1) * size);
      return clipImageProcessor(rgbPixels(width, height, bytes), clipConfig);
    });
    const pixels = Float32Array.from(processed.flatMap(({ data }) => [...data]));
    const shape = [count, ...(processed[0]?.shape ?? [])];
    await recorder.floats(file, 'pixel_values', shape, pixels);

    const golden = await goldens.tensor(file, 'pixel_values');
    const program = safetyCheckerProgram(config, count, { precision: { matrices: subject.dtype } });
    const embedded = await subject.run(program, { pixels: golden?.data ?? pixels });
    const embeddings = embedded['imageEmbeddings'] as Float32Array;
    await recorder.floats(file, 'image_embeds', [count, config.projectionWidth], embeddings);

    const verdicts = safetyVerdicts(embeddings, config.projectionWidth, await subject.safetyConcepts());
    const concepts = verdicts.flatMap((verdict) => [...verdict.conceptCosines]);
    const special = verdicts.flatMap((verdict) => [...verdict.specialCareCosines]);
    await recorder.floats(file, 'concept_cos', [count, config.concepts], Float32Array.from(concepts));
    await recorder.floats(
      file,
      'special_cos',
      [count, config.specialCareConcepts],
      Float32Array.from(special),
    );
    const flagged = Uint8Array.from(verdicts, (verdict) => (verdict.flagged ? 1 : 0));
    await recorder.bytes(file, 'flagged', [count], flagged);
  },
};
