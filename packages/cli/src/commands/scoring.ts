import { image } from '@emu/sdk';
import { writeSafetensors } from '@emu/sdk/weights';
import type { Command } from 'commander';

import { commandContext, oneOf, withCommonFlags } from '../context.js';
import type { Terminal } from '../terminal.js';
import { promptHelp, promptItems, withModel, withModelFlags, type ModelFlags } from './model-flags.js';

interface ScoreFlags extends ModelFlags {
  readonly candidate: readonly string[];
  readonly rankBy?: 'token' | 'sum' | 'authors';
}

export function addScoring(program: Command, terminal: Terminal): void {
  withModelFlags(withCommonFlags(program.command('encode')))
    .argument('<pictures...>', 'paths of pictures')
    .requiredOption('-o, --output <file>', 'safetensors file to write: one tensor [N,D] per picture')
    .description('turn pictures into visual embeddings')
    .addHelpText(
      'after',
      '\nExample:\n  emu encode --model models/emu cat.png dog.png -o embeddings.safetensors',
    )
    .action(async (paths: readonly string[], flags: ModelFlags & { output: string }) => {
      const context = commandContext(terminal, flags);
      await withModel(context, flags, async (emu) => {
        const embeddings = await emu.encodeImages(
          paths.map((path) => image(path)),
          { signal: terminal.signal },
        );
        const tensors = embeddings.map(({ embeddings: { shape, data } }, index) => ({
          name: `${index}`,
          dtype: 'f32' as const,
          shape,
          data,
        }));
        const sources = Object.fromEntries(paths.map((path, index) => [`${index}`, path]));
        await writeSafetensors(flags.output, tensors, { metadata: sources });
        for (const [index, { shape }] of tensors.entries()) {
          const source = paths[index] ?? '';
          context.result(
            { source, name: `${index}`, shape },
            `${source}: [${shape.join(',')}] as "${index}"`,
          );
        }
      });
    });

  withModelFlags(withCommonFlags(program.command('score')))
    .argument('<prompt...>', 'text and media in order')
    .requiredOption('--candidate <texts...>', 'continuations to compare')
    .option('--rank-by <how>', 'token, sum or authors', oneOf(['token', 'sum', 'authors']))
    .description('rank continuations of a prompt, the most likely first')
    .addHelpText(
      'after',
      `\n${promptHelp}\n\nExample:\n  emu score --model models/emu @image:cat.png --candidate "a cat" "a dog"`,
    )
    .action(async (prompt: readonly string[], flags: ScoreFlags) => {
      const context = commandContext(terminal, flags);
      const items = await promptItems(prompt);
      await withModel(context, flags, async (emu) => {
        const ranked = await emu.score(items, flags.candidate, {
          ...(flags.rankBy && { rankBy: flags.rankBy }),
          signal: terminal.signal,
        });
        for (const candidate of ranked) {
          const text = flags.candidate[candidate.index] ?? '';
          const numbers = `loss per token ${candidate.meanLoss.toFixed(4)}, log p ${candidate.logProbability.toFixed(3)}`;
          context.result({ ...candidate, text }, `${text}\t${numbers}`);
        }
      });
    });
}
