import { memoryPlan, programFlops } from '../../models/estimate.js';
import type { EmuConfig, VisualDecoderConfig } from '../../models/config.js';
import { decoderProgram } from '../../models/decoder.js';
import { encodeImagesProgram } from '../../models/encode-images.js';
import { vaeEncodeProgram } from '../../models/vae-program.js';
import type { Precision } from '../../nn/parameters.js';
import { cacheConfig } from '../../session.js';
import type { TrainingCompanion } from '../task.js';

/** What the frozen models make for a batch of the visual decoder. */
export interface FrozenWork {
  readonly batch: number;
  readonly precision: Precision;
  /** Share of the samples whose condition the encoder makes of the picture itself. */
  readonly encodedShare: number;
  /** Share of the batches that are made at all; the others were kept. */
  readonly madeShare: number;
}

// A plan reads no data: a caption of the paper's pairs, with <s> and [IMG].
const promptTokens = 32;

/**
 * Bytes and operations of the models that stay as they are while the U-Net learns, read off their own programs: a
 * roll-out of the language model for each picture, whose prompt is taken to be a caption, and the VAE's encoder.
 */
export function frozenCost(
  config: EmuConfig,
  { vae }: VisualDecoderConfig,
  { batch, precision, encodedShare, madeShare }: FrozenWork,
): TrainingCompanion {
  const cache = cacheConfig(config.llama, precision.matrices, {});
  const { queries } = config.causalTransformer;
  // Both heads are loaded, one of them is run.
  const loaded = {
    ...cache,
    precision,
    rows: batch,
    logitRows: batch,
    outputs: ['logits', 'regressed'],
  } as const;
  const step = decoderProgram(config.llama, { ...loaded, outputs: ['regressed'] });
  const encoder = encodeImagesProgram(config, 1, { precision });
  const latents = vaeEncodeProgram(vae, { batch, height: vae.sampleSize, width: vae.sampleSize });

  // The last embedding is not read again.
  const rows = promptTokens + queries - 1;
  const rollOuts = rows * programFlops(step, rows);
  const encodings = batch * programFlops(encoder);
  const conditions = (1 - encodedShare) * rollOuts + encodedShare * encodings;
  return {
    bytes:
      memoryPlan([encoder, decoderProgram(config.llama, loaded)]).totalBytes +
      memoryPlan([latents]).totalBytes,
    flopsPerBatch: madeShare * (conditions + programFlops(latents)),
  };
}
