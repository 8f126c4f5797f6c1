import type { Command } from 'commander';

import { commaList, commandContext, oneOf, withCommonFlags, type CommonFlags } from '../context.js';
import { endWith } from '../exit-status.js';
import { writeJson, type Terminal } from '../terminal.js';
import { halfPrecisionBound, type Comparison } from '../verify/compare.js';
import { Goldens } from '../verify/goldens.js';
import { openSubjects } from '../verify/open-subjects.js';
import { Recorder } from '../verify/recorder.js';
import { chosenStages, stages, uncoveredStages, verify } from '../verify/verify.js';

interface Flags extends CommonFlags {
  readonly model: string;
  readonly goldens: string;
  readonly stages?: readonly string[];
  readonly dump?: string;
  readonly device: 'cpu' | 'reference';
  readonly dtype: 'f32' | 'bf16';
}

const differsExit = 1;

const help = `
Runs every case of a goldens folder (manifest.json beside its tensors) through the product's own code and prints the
error of each tensor: anyone can prove a port, a machine or a backend with it. Stages: ${stages.map(({ name }) => name).join(', ')}.
A float tensor passes when ||a-b||/||b|| is within 1e-4 (bf16: 2e-2), or within 8 times the noise the manifest
records for the reference itself; integers, ids and texts must be equal, 8-bit pictures within 1.

Examples:
  emu verify --model checkpoint --goldens goldens
  emu verify --model checkpoint --goldens goldens --stages unet,vae --dump ours --json`;

export function addVerify(program: Command, terminal: Terminal): void {
  withCommonFlags(program.command('verify'))
    .description('compare every stage of a model with reference outputs')
    .requiredOption('--model <dir>', 'model folder in the official or the converted layout')
    .requiredOption('--goldens <dir>', 'folder with manifest.json and the reference tensors')
    .option('--stages <names>', 'only these stages, separated by commas', commaList)
    .option('--dump <dir>', 'write our tensors as safetensors files of the same names')
    .option('--device <name>', 'cpu or reference', oneOf(['cpu', 'reference']), 'cpu')
    .option('--dtype <name>', 'dtype of the matrices: f32 or bf16', oneOf(['f32', 'bf16']), 'f32')
    .addHelpText('after', help)
    .action(async (flags: Flags, command: Command) => {
      const context = commandContext(terminal, flags);
      const chosen = chosenStages(flags.stages);
      const goldens = await Goldens.open(flags.goldens);
      const uncovered = flags.stages === undefined ? uncoveredStages(goldens) : [];
      if (uncovered.length > 0) context.note(`not part of this version: ${uncovered.join(', ')}`);
      const recorder = new Recorder(goldens, {
        ...(flags.dtype === 'bf16' && { floatBound: halfPrecisionBound }),
        onComparison: (comparison) => {
          context.result(comparison, comparisonText(comparison));
        },
      });
      const subjects = openSubjects(flags.model, flags, terminal.signal);
      try {
        await verify(chosen, goldens, subjects, recorder, terminal.signal);
      } finally {
        await subjects.dispose();
      }
      if (flags.dump !== undefined) await recorder.dump(flags.dump);
      const failed = recorder.comparisons.filter(({ ok }) => !ok).length;
      const passed = recorder.comparisons.length - failed;
      if (context.json) writeJson(terminal.stdout, { type: 'summary', passed, failed });
      else terminal.stdout.write(`${passed} agree, ${failed} differ\n`);
      if (failed > 0) endWith(command, differsExit);
    });
}

function comparisonText({ ok, file, name, relativeL2, relativeMax, bound, note }: Comparison): string {
  const verdict = ok ? 'ok  ' : 'DIFF';
  const place = [file, name].filter((part) => part !== '').join(': ');
  if (relativeL2 === null) return `${verdict} ${place}  ${note}`;
  const exponent = (value: number | null): string => (value === null ? '-' : value.toExponential(1));
  return `${verdict} ${place}  l2 ${exponent(relativeL2)} (at most ${exponent(bound)}), max ${exponent(relativeMax)}${note === '' ? '' : `, ${note}`}`;
}
