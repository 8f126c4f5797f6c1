import { describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats, referenceTensor } from '../testing/reference-data.js';
import { checkpointFloats, expectGolden, runOnCheckpoint } from '../testing/reference-model.js';
import { safetyCheckerPrefix, safetyCheckerProgram } from './safety-checker.js';
import { safetyVerdicts } from './safety-verdict.js';

const config = referenceConfig.visualDecoder.safetyChecker;

describe.skipIf(!referenceExists).each(testBackends)(
  'the safety checker, against the authors, on the $name backend',
  ({ backend }) => {
    it('embeds pictures and flags the same ones', async () => {
      const file = 'safety.safetensors';
      const pixels = referenceFloats(`goldens/${file}`, 'pixel_values');
      const program = safetyCheckerProgram(config, 8);
      const outputs = await runOnCheckpoint(backend, program, 'safetyChecker', safetyCheckerPrefix, {
        pixels,
      });
      const imageEmbeddings = outputs['imageEmbeddings'] as Float32Array;
      expectGolden(imageEmbeddings, file, 'image_embeds');

      const verdicts = safetyVerdicts(imageEmbeddings, config.projectionWidth, {
        concepts: {
          embeddings: await checkpointFloats('safetyChecker', 'concept_embeds'),
          thresholds: await checkpointFloats('safetyChecker', 'concept_embeds_weights'),
        },
        specialCare: {
          embeddings: await checkpointFloats('safetyChecker', 'special_care_embeds'),
          thresholds: await checkpointFloats('safetyChecker', 'special_care_embeds_weights'),
        },
      });
      const joined = (rows: readonly Float32Array[]) => Float32Array.from(rows.flatMap((row) => [...row]));
      expectGolden(joined(verdicts.map((verdict) => verdict.conceptCosines)), file, 'concept_cos');
      expectGolden(joined(verdicts.map((verdict) => verdict.specialCareCosines)), file, 'special_cos');
      const flagged = Array.from(referenceTensor(`goldens/${file}`, 'flagged').data, Boolean);
      expect(verdicts.map((verdict) => verdict.flagged)).toEqual(flagged);
      expect(new Set(flagged).size).toBe(2);
    });
  },
);
