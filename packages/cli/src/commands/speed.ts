import { EmuError } from '@emu/sdk';
import type { Command } from 'commander';

import { commandContext, number, withCommonFlags } from '../context.js';
import type { Terminal } from '../terminal.js';
import { withModel, withModelFlags, type ModelFlags } from './model-flags.js';
import { addServeBench } from './serve-bench.js';

interface SpeedFlags extends ModelFlags {
  readonly tokens: number;
  readonly steps: number;
}

const promptWords = 64;
const mostRepetitions = 1000;

export function addSpeed(program: Command, terminal: Terminal): void {
  const bench = program.command('bench').enablePositionalOptions();
  addServeBench(bench, terminal);
  withModelFlags(withCommonFlags(bench))
    .description('measure how fast a model runs on this machine: prompt, decoding, pictures')
    .option('--tokens <number>', 'tokens to decode', number, 32)
    .option('--steps <number>', 'denoising steps of the picture', number, 10)
    .addHelpText(
      'after',
      '\nFor kernels beside PyTorch and oneDNN, run `npm run bench` in a checkout.' +
        '\n\nExample:\n  emu bench --model models/emu --json',
    )
    .action(async (flags: SpeedFlags) => {
      const context = commandContext(terminal, flags);
      for (const [flag, value] of [
        ['--tokens', flags.tokens],
        ['--steps', flags.steps],
      ] as const) {
        if (Number.isInteger(value) && value >= 1 && value <= mostRepetitions) continue;
        throw new EmuError(
          'INVALID_OPTION',
          `[bench] ${flag} must be a whole number in 1..${mostRepetitions}, got ${value}`,
          { details: { flag, value } },
        );
      }
      await withModel(context, flags, async (emu) => {
        const { signal } = terminal;
        const prompt = 'a cat on a mat '.repeat(Math.round(promptWords / 5));
        const report = (name: string, value: number, unit: string): void => {
          context.result({ name, value, unit }, `${name.padEnd(18)} ${value.toFixed(2)} ${unit}`);
        };
        // The first run of each kind compiles its programs.
        const warm = { numBeams: 1, maxNewTokens: 2, seed: 1, signal };
        await emu.generate(prompt, warm).result();

        const before = performance.now();
        const { sequence } = await emu.prefill(prompt, { signal });
        report('prompt', (1000 * sequence.length) / (performance.now() - before), 'tokens/s');
        sequence.close();

        const start = performance.now();
        const { usage } = await emu
          .generate(prompt, { ...warm, maxNewTokens: flags.tokens, minNewTokens: flags.tokens })
          .result();
        report('decoding', (1000 * usage.completionTokens) / (performance.now() - start), 'tokens/s');

        if (!emu.model.has('unet')) return;
        await emu.imagine(prompt, { steps: 1, seed: 1, signal }).result();
        const painted = performance.now();
        await emu.imagine(prompt, { steps: flags.steps, seed: 1, signal }).result();
        report(`picture (${flags.steps} steps)`, (performance.now() - painted) / 1000, 's');
      });
    });
}
