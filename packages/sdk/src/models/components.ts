import type { CheckpointTensor } from '../nn/parameters.js';
import { unusedEncoderTensors, unusedSafetyCheckerTensors } from '../weights/canonical-names.js';
import type { EmuConfig } from './config.js';
import { llamaTensors } from './decoder.js';
import { imageEncoderTensors } from './encode-images.js';
import { safetyCheckerPrefix, safetyCheckerTensors } from './safety-checker.js';
import { unetPrefix, unetTensors } from './unet-program.js';
import { vaePrefix, vaeTensors } from './vae-program.js';

/** The checkpoints an Emu comes in. */
export type ComponentName = 'multimodal' | 'unet' | 'vae' | 'safetyChecker';

/** One checkpoint of an Emu: what must be in it, what may be, and what its tensors are called in a session. */
export interface Component {
  readonly name: ComponentName;
  /** In front of the checkpoint's names in a session. */
  readonly sessionPrefix: string;
  /** Every tensor that some program of the model asks for: read off the model code itself. */
  readonly tensors: readonly CheckpointTensor[];
  /** Names that official checkpoints hold and Emu never uses; all others are unexpected. */
  readonly unused: readonly RegExp[];
}

/** The checkpoints that a configuration needs. */
export function checkpointComponents(config: EmuConfig): readonly Component[] {
  const multimodal: Component = {
    name: 'multimodal',
    sessionPrefix: '',
    tensors: [...imageEncoderTensors(config), ...llamaTensors(config.llama)],
    unused: unusedEncoderTensors,
  };
  const { visualDecoder } = config;
  if (visualDecoder === undefined) return [multimodal];
  const { unet, vae, safetyChecker } = visualDecoder;
  const components: Component[] = [
    multimodal,
    { name: 'unet', sessionPrefix: unetPrefix, tensors: unetTensors(unet), unused: [] },
    { name: 'vae', sessionPrefix: vaePrefix, tensors: vaeTensors(vae), unused: [] },
  ];
  if (safetyChecker === undefined) return components;
  const checker: Component = {
    name: 'safetyChecker',
    sessionPrefix: safetyCheckerPrefix,
    tensors: safetyCheckerTensors(safetyChecker),
    unused: unusedSafetyCheckerTensors,
  };
  return [...components, checker];
}
