import type { EmuConfig } from '../models/config.js';
import type { WeightDType } from '../weights/convert-plan.js';
import {
  generationDefaults,
  jsonText,
  pictureNormalisation,
  type TextFile,
} from '../weights/convert-texts.js';
import { stableDiffusionScheduler, unetJson, vaeJson } from './diffusers-json.js';
import type { FreshTokenizer } from './fresh-tokenizer.js';

function visualDecoderTexts({ visualDecoder }: EmuConfig): TextFile[] {
  if (visualDecoder === undefined) return [];
  const index = {
    _class_name: 'EmuGenerationPipeline',
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
    scheduler: ['diffusers', stableDiffusionScheduler._class_name],
  };
  return [
    jsonText('unet/config.json', unetJson(visualDecoder.unet)),
    jsonText('vae/config.json', vaeJson(visualDecoder.vae)),
    jsonText('scheduler/scheduler_config.json', stableDiffusionScheduler),
    jsonText('model_index.json', index),
  ];
}

/** All files of a fresh model folder other than weights, `config.json` last: it is what makes the folder a model. */
export function freshTexts(
  config: EmuConfig,
  tokenizer: FreshTokenizer,
  dtype: WeightDType,
): readonly TextFile[] {
  const { visual, causalTransformer, llama } = config;
  const side = visual.imageSize;
  return [
    { kind: 'text', path: 'tokenizer.json', text: tokenizer.text },
    ...visualDecoderTexts(config),
    jsonText('preprocessor_config.json', { ...pictureNormalisation, size: { height: side, width: side } }),
    jsonText('generation_config.json', { ...generationDefaults, ...tokenizer.ids }),
    jsonText('config.json', {
      architectures: ['EmuModel'],
      model_type: 'emu',
      torch_dtype: dtype === 'bf16' ? 'bfloat16' : 'float32',
      emu: { visual, causalTransformer, llama },
    }),
  ];
}
