import { encodeImagesInputs, encodeImagesProgram, relativePositionBucket } from '@emu/sdk/models';

import { pixelsOf } from '../prompts.js';
import type { Stage } from '../stage.js';

const file = 'vision.safetensors';
const bucketCase = 'cformer.bucket_of_distance';

/** EVA-ViT, ln_visual and the Causal Transformer, layer by layer. */
export const visionStage: Stage = {
  name: 'vision',
  async run({ goldens, subjects, recorder }) {
    const subject = await subjects.base();
    const { config } = subject;
    const batch = goldens.entry(file, 'cformer.output')?.shape[0] ?? goldens.images.length;
    const pictures = await Promise.all(
      Array.from({ length: batch }, (_, index) => pixelsOf(subject, goldens, index)),
    );
    const program = encodeImagesProgram(config, pictures.length, {
      stages: true,
      precision: { matrices: subject.dtype },
    });
    const pixels = Float32Array.from(pictures.flatMap((picture) => [...picture]));
    const outputs = await subject.run(program, encodeImagesInputs(config, pixels));
    for (const { name, value } of program.outputs) {
      const golden = goldens.entry(file, name)?.shape;
      if (golden === undefined) continue;
      const shape = program.values[value]?.shape ?? [];
      // The reference writes a batch of 1 in front of what all pictures share.
      const isShared = golden.join() === [1, ...shape].join();
      await recorder.floats(file, name, isShared ? golden : shape, outputs[name] as Float32Array);
    }
    const distances = goldens.entry(file, bucketCase)?.shape[0] ?? 0;
    if (distances === 0) return;
    const { relativeAttentionBuckets, relativeAttentionMaxDistance } = config.causalTransformer;
    const buckets = Array.from({ length: distances }, (_, distance) =>
      relativePositionBucket(distance, relativeAttentionBuckets, relativeAttentionMaxDistance),
    );
    await recorder.integers(file, bucketCase, [distances], buckets);
  },
};
