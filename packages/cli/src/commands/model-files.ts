import type { ComponentName } from '@emu/sdk/models';
import type { ModelFolder, TensorFile } from '@emu/sdk/weights';

export const variants = ['pretrain', 'instruct'] as const;
export type Variant = (typeof variants)[number];

export const variantHelp = 'which model to take from a folder that has both: pretrain or instruct';

/** The checkpoint files of a folder, by component. */
export function checkpointFiles({
  visualDecoder,
  multimodal,
}: ModelFolder): readonly { readonly name: ComponentName; readonly file: TensorFile }[] {
  const files: { name: ComponentName; file: TensorFile }[] = [{ name: 'multimodal', file: multimodal.file }];
  if (visualDecoder === undefined) return files;
  files.push({ name: 'unet', file: visualDecoder.unet }, { name: 'vae', file: visualDecoder.vae });
  if (visualDecoder.safetyChecker) files.push({ name: 'safetyChecker', file: visualDecoder.safetyChecker });
  return files;
}
