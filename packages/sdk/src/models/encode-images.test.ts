import { describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { expectGolden, relativeL2, runOnCheckpoint } from '../testing/reference-model.js';
import { relativePositionBucket } from './causal-transformer.js';
import { encodeImagesInputs, encodeImagesProgram } from './encode-images.js';

function threeImages() {
  const images = [0, 1, 2].map((index) =>
    referenceFloats('goldens/preprocess.safetensors', `image${index}.pixel_values`),
  );
  return encodeImagesInputs(referenceConfig, Float32Array.from(images.flatMap((image) => [...image])));
}

describe.skipIf(!referenceExists).each(testBackends)(
  'pictures to visual embeddings, against the authors, on the $name backend',
  ({ backend }) => {
    it('gives every stage from patches to causal embeddings', async () => {
      const program = encodeImagesProgram(referenceConfig, 3, { stages: true });
      const outputs = await runOnCheckpoint(backend, program, 'multimodal', '', threeImages());
      const stages = program.outputs.map(({ name }) => name).filter((name) => name !== 'embeddings');
      expect(stages).toHaveLength(16);
      for (const stage of stages) expectGolden(outputs[stage], 'vision.safetensors', stage);
      expect(outputs['embeddings']).toEqual(outputs['cformer.output']);
    });

    it('stays near with bf16 weights', async () => {
      const program = encodeImagesProgram(referenceConfig, 3, { precision: { matrices: 'bf16' } });
      const { embeddings } = await runOnCheckpoint(backend, program, 'multimodal', '', threeImages());
      const golden = referenceFloats('goldens/vision.safetensors', 'cformer.output');
      expect(relativeL2(embeddings as Float32Array, golden)).toBeLessThan(2e-2);
    });

    it('gives a picture the same bits alone and in a batch', async () => {
      const { pixels } = threeImages();
      const all = await runOnCheckpoint(
        backend,
        encodeImagesProgram(referenceConfig, 3),
        'multimodal',
        '',
        threeImages(),
      );
      const second = pixels.slice(pixels.length / 3, (2 * pixels.length) / 3);
      const inputs = encodeImagesInputs(referenceConfig, second);
      const alone = await runOnCheckpoint(
        backend,
        encodeImagesProgram(referenceConfig, 1),
        'multimodal',
        '',
        inputs,
      );
      const embeddings = all['embeddings'] as Float32Array;
      const third = embeddings.length / 3;
      expect(alone['embeddings']).toEqual(embeddings.slice(third, 2 * third));
    });

    it('puts every distance into the bucket T5 puts it in', () => {
      const golden = referenceTensor('goldens/vision.safetensors', 'cformer.bucket_of_distance');
      const expected = Array.from(golden.data, Number);
      expect(expected.map((_, distance) => relativePositionBucket(distance, 32, 128))).toEqual(expected);
    });

    it('decides edges between buckets in f32, as PyTorch does', () => {
      // torch.log(d / 5) / math.log(32) * 5 in float32, truncated; float64 puts each of them elsewhere.
      expect([10, 20, 80].map((distance) => relativePositionBucket(distance, 10, 160))).toEqual([6, 7, 9]);
    });
  },
);
