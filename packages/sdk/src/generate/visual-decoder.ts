import { EmuError } from '@emu/program';

import type { VisualDecoderConfig } from '../models/config.js';
import type { LoadedModel } from '../session.js';

/** The picture half of a model. @throws EmuError CAPABILITY_MISSING when the model has none. */
export function visualDecoderOf(model: LoadedModel): VisualDecoderConfig {
  const { visualDecoder } = model.config;
  if (visualDecoder !== undefined && model.has('unet') && model.has('vae')) return visualDecoder;
  throw new EmuError(
    'CAPABILITY_MISSING',
    `[picture] ${model.files.name} has no visual decoder, so it makes no pictures`,
    {
      hint: 'Use the pretrained Emu with unet/ and vae/; the instruction-tuned model has none.',
    },
  );
}
