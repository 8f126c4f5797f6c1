import { describe, expect, it } from 'vitest';

import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referencePath } from '../testing/reference-data.js';
import { openModelFolder } from './official-layout.js';

describe.skipIf(!referenceExists)('the published layout', () => {
  it('gives the configuration of the pretrained model', async () => {
    const model = await openModelFolder(referencePath('checkpoint'));
    expect(model.config).toEqual(referenceConfig);
    expect(model.layout).toBe('official');
    expect(model.assumed).toEqual([]);
    expect(model.tokenizerFolder).toBe(referencePath('checkpoint/llama_config'));
    expect(model.visualDecoder?.unet.entries.size).toBe(686);
  });

  it('gives the instruction-tuned model by option or by file', async () => {
    const { visualDecoder: _, ...multimodal } = referenceConfig;
    const lora = { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] };
    const expected = { ...multimodal, llama: { ...multimodal.llama, vocabulary: 32006, lora } };
    const byOption = await openModelFolder(referencePath('checkpoint'), { variant: 'instruct' });
    expect(byOption.config).toEqual(expected);
    expect(byOption.multimodal.adapters.size).toBe(12);
    const byFile = await openModelFolder(referencePath('checkpoint/Emu-instruct.pt'));
    expect(byFile.config).toEqual(expected);
  });
});
