import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { expectGolden, runOnReference } from '../testing/reference-model.js';
import { relativePositionBucket } from './causal-transformer.js';
import { encodeImagesInputs, encodeImagesProgram } from './encode-images.js';

describe.skipIf(!referenceExists)('pictures to visual embeddings, against the authors', () => {
  it('gives every stage from patches to causal embeddings', async () => {
    const program = encodeImagesProgram(referenceConfig, 3, { stages: true });
    const images = [0, 1, 2].map((index) =>
      referenceFloats('goldens/preprocess.safetensors', `image${index}.pixel_values`),
    );
    const pixels = Float32Array.from(images.flatMap((image) => [...image]));
    const outputs = await runOnReference(
      program,
      'multimodal',
      '',
      encodeImagesInputs(referenceConfig, pixels),
    );
    const stages = program.outputs.map(({ name }) => name).filter((name) => name !== 'embeddings');
    expect(stages).toHaveLength(16);
    for (const stage of stages) expectGolden(outputs[stage], 'vision.safetensors', stage);
    expect(outputs['embeddings']).toEqual(outputs['cformer.output']);
  });

  it('puts every distance into the bucket T5 puts it in', () => {
    const golden = referenceTensor('goldens/vision.safetensors', 'cformer.bucket_of_distance');
    const expected = Array.from(golden.data, Number);
    expect(expected.map((_, distance) => relativePositionBucket(distance, 32, 128))).toEqual(expected);
  });
});
