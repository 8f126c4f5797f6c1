import { describe, expect, it } from 'vitest';

import { print } from '@emu/program';

import { decoderProgram } from './decoder.js';
import { encodeImagesProgram } from './encode-images.js';
import { safetyCheckerProgram } from './safety-checker.js';
import { unetProgram } from './unet-program.js';
import { vaeDecodeProgram, vaeEncodeProgram } from './vae-program.js';
import type { LlamaConfig, UNetConfig } from './config.js';

/* The programs of the smallest models there can be, as text: a review shows what a change makes run. */

const visual = {
  imageSize: 4,
  patchSize: 2,
  width: 4,
  layers: 1,
  headWidth: 2,
  mlpWidth: 6,
  epsilon: 1e-6,
  headOutputWidth: 3,
};
const causalTransformer = {
  queries: 2,
  width: 4,
  heads: 2,
  headWidth: 3,
  feedForwardWidth: 5,
  layers: 1,
  encoderWidth: 4,
  outputWidth: 8,
  relativeAttentionBuckets: 4,
  relativeAttentionMaxDistance: 8,
  epsilon: 1e-6,
};
const llama: LlamaConfig = {
  vocabulary: 11,
  width: 8,
  layers: 1,
  heads: 2,
  feedForwardWidth: 12,
  epsilon: 1e-6,
  ropeTheta: 10000,
  contextLength: 16,
};
const unet: UNetConfig = {
  sampleSize: 2,
  inChannels: 4,
  outChannels: 4,
  blockChannels: [4, 8],
  downBlocks: ['CrossAttnDownBlock2D', 'DownBlock2D'],
  upBlocks: ['UpBlock2D', 'CrossAttnUpBlock2D'],
  layersPerBlock: 1,
  heads: [2, 2],
  crossAttentionWidth: 8,
  groups: 2,
  epsilon: 1e-5,
  flipSinToCos: true,
  frequencyShift: 0,
  useLinearProjection: true,
};
const vae = {
  sampleSize: 4,
  inChannels: 3,
  outChannels: 3,
  latentChannels: 2,
  blockChannels: [4, 8],
  layersPerBlock: 1,
  groups: 2,
  scalingFactor: 0.18215,
};
const safetyChecker = {
  imageSize: 4,
  patchSize: 2,
  width: 4,
  layers: 1,
  heads: 2,
  mlpWidth: 6,
  projectionWidth: 3,
  epsilon: 1e-5,
  activation: 'quickGelu',
  concepts: 2,
  specialCareConcepts: 1,
} as const;
const cache = { slots: 2, pages: 3, pageSize: 4, pagesPerSlot: 2, cacheDtype: 'bf16' } as const;

describe('programs as text', () => {
  it.each([
    encodeImagesProgram({ visual, causalTransformer }, 2),
    decoderProgram(
      { ...llama, lora: { rank: 2, alpha: 4, targets: ['q_proj', 'o_proj'] } },
      {
        ...cache,
        rows: 3,
        visualRows: 1,
        logitRows: 2,
        outputs: ['hidden', 'logits', 'regressed', 'losses'],
        precision: { matrices: 'bf16' },
      },
    ),
    unetProgram(unet, { batch: 2, height: 3, width: 5, tokens: 2 }),
    vaeDecodeProgram(vae, { batch: 1, height: 2, width: 2 }),
    vaeEncodeProgram(vae, { batch: 1, height: 4, width: 4 }),
    safetyCheckerProgram(safetyChecker, 1),
  ])('$name', async (program) => {
    await expect(print(program)).toMatchFileSnapshot(`./__snapshots__/${program.name}.txt`);
  });

  it('refuses a U-Net with fewer heads than resolutions', () => {
    const wrong = () => unetProgram({ ...unet, heads: [2] }, { batch: 1, height: 2, width: 2, tokens: 1 });
    expect(wrong).toThrow('[config] heads has 1 entries, entry 1 was needed');
  });
});
