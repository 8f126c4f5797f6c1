import { elementCount } from '@emu/program';
import { convertCheckpoint, openModelFolder, type ModelFolder, type TensorFile } from '@emu/sdk/weights';
import type { Command } from 'commander';

import { commandContext, number, oneOf, withCommonFlags, type CommonFlags } from '../context.js';
import { bytesText } from '../progress.js';
import type { Terminal } from '../terminal.js';
import { checkpointFiles, variantHelp, variants, type Variant } from './model-files.js';
import { addModelList } from './model-list.js';
import { addModelVerify } from './model-verify.js';

interface InspectFlags extends CommonFlags {
  readonly variant?: Variant;
  readonly tensors?: boolean;
}

interface ConvertFlags extends CommonFlags {
  readonly dtype: 'f32' | 'bf16';
  readonly variant?: Variant;
  readonly loraAlpha?: number;
  readonly maxShardBytes?: number;
}

export function addModel(program: Command, terminal: Terminal): void {
  const model = program.command('model').description('look at, check and convert checkpoints');
  addModelList(model, terminal);
  addInspect(model, terminal);
  addConvert(model, terminal);
  addModelVerify(model, terminal);
}

function addInspect(model: Command, terminal: Terminal): void {
  withCommonFlags(model.command('inspect'))
    .argument('<dir>', 'model folder or checkpoint file')
    .description('show what a checkpoint holds, without loading it')
    .option('--variant <name>', variantHelp, oneOf(variants))
    .option('--tensors', 'list every tensor')
    .addHelpText('after', '\nExample:\n  emu model inspect checkpoint --tensors')
    .action(async (path: string, flags: InspectFlags) => {
      const { result } = commandContext(terminal, flags);
      const folder = await openModelFolder(path, flags.variant ? { variant: flags.variant } : {});
      const { layout, config, assumed } = folder;
      result({ path: folder.path, layout, config, assumed }, headline(folder));
      for (const { name, file } of checkpointFiles(folder)) {
        result({ component: name, ...totals(file) }, `${name.padEnd(14)} ${totalsText(file)}`);
        if (flags.tensors !== true) continue;
        for (const { name: tensor, dtype, shape } of file.entries.values()) {
          result({ component: name, tensor, dtype, shape }, `  ${tensor} ${dtype}[${shape.join(',')}]`);
        }
      }
    });
}

function headline({ path, layout, config, assumed }: ModelFolder): string {
  const { visual, causalTransformer, llama } = config;
  const lines = [
    `${path}: ${layout} layout${llama.lora === undefined ? '' : `, LoRA rank ${llama.lora.rank}`}`,
    `vision         ${visual.layers} layers of ${visual.width}, pictures ${visual.imageSize}x${visual.imageSize}`,
    `causal         ${causalTransformer.layers} layers of ${causalTransformer.width}, ${causalTransformer.queries} embeddings`,
    `language       ${llama.layers} layers of ${llama.width}, vocabulary ${llama.vocabulary}, context ${llama.contextLength}`,
  ];
  if (assumed.length > 0)
    lines.push(`assumed        ${assumed.join(', ')} (not in the folder; published values)`);
  return lines.join('\n');
}

function totals(file: TensorFile): {
  path: string;
  tensors: number;
  parameters: number;
  dtypes: readonly string[];
} {
  const entries = [...file.entries.values()];
  const parameters = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return {
    path: file.path,
    tensors: entries.length,
    parameters,
    dtypes: [...new Set(entries.map(({ dtype }) => dtype))].sort(),
  };
}

function totalsText(file: TensorFile): string {
  const { path, tensors, parameters, dtypes } = totals(file);
  return `${tensors} tensors, ${parameters} parameters, ${dtypes.join('+')}, ${path}`;
}

function addConvert(model: Command, terminal: Terminal): void {
  withCommonFlags(model.command('convert'))
    .argument('<from>', 'model folder or checkpoint file')
    .argument('<to>', 'folder to write')
    .description('write a checkpoint as safetensors in the Emu SDK layout; repeat the command to resume')
    .option('--dtype <name>', 'dtype of the matrices: f32 or bf16', oneOf(['f32', 'bf16']), 'bf16')
    .option('--variant <name>', variantHelp, oneOf(variants))
    .option('--lora-alpha <number>', 'scale of the adapters; a state dict does not hold it (16)', number)
    .option('--max-shard-bytes <number>', 'largest weights file (5e9)', number)
    .addHelpText('after', '\nExample:\n  emu model convert checkpoint models/emu --dtype bf16')
    .action(async (from: string, to: string, flags: ConvertFlags) => {
      const { result, progress, note } = commandContext(terminal, flags);
      const { dtype, variant, loraAlpha, maxShardBytes } = flags;
      const { files, kept, bytes } = await convertCheckpoint({
        from,
        to,
        dtype,
        ...(variant && { variant }),
        ...(loraAlpha !== undefined && { loraAlpha }),
        ...(maxShardBytes !== undefined && { maxShardBytes }),
        signal: terminal.signal,
        onProgress: ({ file, completed, total, unit }) => {
          progress.show({ phase: `convert ${file}`, completed, total, unit });
        },
      });
      if (kept.length > 0) note(`kept ${kept.length} files that an earlier run had finished`);
      result({ to, files, kept, bytes }, `${to}: ${files.length} files, ${bytesText(bytes)} of tensors`);
    });
}
