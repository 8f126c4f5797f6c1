import { EmuError, type Program } from '@emu/program';

import type { TrainingParameter } from '../task.js';

/** Modules by the beginning of a parameter's name: the groups that recipes set learning rates for. */
const modules: readonly (readonly [RegExp, string])[] = [
  [/^visual\./, 'visual'],
  [/^ln_visual\./, 'visual'],
  [/^cformer\./, 'cformer'],
  [/\.lora_[AB]\./, 'adapter'],
  [/^decoder\./, 'decoder'],
  [/^unet\./, 'unet'],
  [/^vae\./, 'vae'],
  [/^text\./, 'text'],
  [/^logit_scale$/, 'text'],
];

/** The group of a parameter: visual, cformer, decoder, adapter, unet, vae or text. */
export function moduleOf(name: string): string {
  return modules.find(([pattern]) => pattern.test(name))?.[1] ?? 'model';
}

/** Position tables and class tokens have several axes, but are vectors that are added: no decay (BEiT, CLIP). */
const neverDecayed = /^(?:visual\.(?:pos_embed|cls_token)|text\.positions|logit_scale)$/;

/**
 * The parameters of a task: every weight that some of its programs reads. Decay applies to tensors of two axes and more,
 * position tables and class tokens excepted.
 */
export function programParameters(
  programs: readonly Program[],
  trainable: (name: string) => boolean = () => true,
): readonly TrainingParameter[] {
  const parameters = new Map<string, TrainingParameter>();
  for (const program of programs) {
    for (const { name, value } of program.weights) {
      if (parameters.has(name)) continue;
      const type = program.values[value];
      if (type === undefined) throw new EmuError('INTERNAL', `[train] ${program.name} has no value ${value}`);
      parameters.set(name, {
        name,
        shape: type.shape,
        trainable: trainable(name),
        group: moduleOf(name),
        decay: type.shape.length >= 2 && !neverDecayed.test(name),
      });
    }
  }
  return [...parameters.values()];
}
