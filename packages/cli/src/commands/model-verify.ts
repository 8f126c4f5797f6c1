import { checkpointComponents, type ComponentName } from '@emu/sdk/models';
import {
  compareTensors,
  openModelFolder,
  verifyTorchChecksums,
  withNodeFile,
  type ModelFolder,
  type TensorFile,
  type TensorMismatch,
} from '@emu/sdk/weights';
import type { Command } from 'commander';

import { commandContext, oneOf, withCommonFlags, type CommandContext, type CommonFlags } from '../context.js';
import { endWith } from '../exit-status.js';
import type { Terminal } from '../terminal.js';
import { checkpointFiles, variantHelp, variants, type Variant } from './model-files.js';

const badModelExit = 3;

export function addModelVerify(model: Command, terminal: Terminal): void {
  withCommonFlags(model.command('verify'))
    .argument('<dir>', 'model folder or checkpoint file')
    .description('check that a checkpoint has exactly the tensors its configuration needs, undamaged')
    .option('--variant <name>', variantHelp, oneOf(variants))
    .option('--no-checksums', 'only compare names and shapes; do not read the values')
    .addHelpText(
      'after',
      '\nFiles of torch.save hold checksums, which are verified; safetensors files have none.' +
        '\n\nExample:\n  emu model verify checkpoint\n\nTo compare outputs with a reference, see `emu verify`.',
    )
    .action(
      async (
        path: string,
        flags: CommonFlags & { variant?: Variant; checksums: boolean },
        command: Command,
      ) => {
        const context = commandContext(terminal, flags);
        const folder = await openModelFolder(path, flags.variant ? { variant: flags.variant } : {});
        const fits = verifyTensors(context, folder);
        if (flags.checksums) {
          for (const { name, file } of checkpointFiles(folder)) await verifyChecksums(context, name, file);
        }
        if (!fits) endWith(command, badModelExit);
      },
    );
}

/** Compares every file with the tensors its component needs; false when one does not fit. */
function verifyTensors({ result }: CommandContext, folder: ModelFolder): boolean {
  const files = new Map(checkpointFiles(folder).map(({ name, file }) => [name, file]));
  let fits = true;
  for (const { name, tensors, unused } of checkpointComponents(folder.config)) {
    const file = files.get(name);
    if (file === undefined) continue;
    const mismatch = compareTensors(file, tensors, { ignored: unused });
    const ok = mismatch.missing.length + mismatch.unexpected.length + mismatch.misshaped.length === 0;
    fits &&= ok;
    const text = ok ? `ok   ${name}: ${tensors.length} tensors` : mismatchText(name, mismatch);
    result({ component: name, ok, ...mismatch }, text);
  }
  return fits;
}

function mismatchText(name: ComponentName, { missing, unexpected, misshaped }: TensorMismatch): string {
  return [
    `BAD  ${name}: ${missing.length} missing, ${unexpected.length} unexpected, ${misshaped.length} mis-shaped`,
    ...missing.map((tensor) => `  missing    ${tensor.name} [${tensor.shape.join(',')}]`),
    ...unexpected.map((tensor) => `  unexpected ${tensor.name} [${tensor.shape.join(',')}]`),
    ...misshaped.map(
      (tensor) =>
        `  mis-shaped ${tensor.name} [${tensor.found.join(',')}], needed [${tensor.needed.join(',')}]`,
    ),
  ].join('\n');
}

/** Reads every torch file of a component and compares its checksums. @throws EmuError CHECKPOINT_CORRUPT */
async function verifyChecksums(
  { result, progress, terminal }: CommandContext,
  component: ComponentName,
  { format, entries }: TensorFile,
): Promise<void> {
  if (format !== 'torch') return;
  for (const file of new Set([...entries.values()].map((entry) => entry.file))) {
    const { checked, unchecked } = await withNodeFile(file, (access) =>
      verifyTorchChecksums(access, file, {
        signal: terminal.signal,
        onProgress: (completed, total) => {
          progress.show({ phase: `checksums of ${component}`, completed, total, unit: 'bytes' });
        },
      }),
    );
    const without = unchecked === 0 ? '' : `, ${unchecked} without one`;
    result(
      { component, file, checked, unchecked },
      `ok   ${component}: ${checked} checksums${without}, ${file}`,
    );
  }
}
