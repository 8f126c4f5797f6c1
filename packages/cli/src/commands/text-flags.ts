import type { TextOptions } from '@emu/sdk';
import { Option, type Command } from 'commander';

import { number, seedNumber } from '../context.js';
import type { ModelFlags } from './model-flags.js';

/** Flags that say how text is made; names and meanings are those of the SDK's TextOptions. */
export interface TextFlags extends ModelFlags {
  readonly maxNewTokens?: number;
  readonly minNewTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly numBeams?: number;
  readonly lengthPenalty?: number;
  readonly repetitionPenalty?: number;
  readonly noRepeatNgramSize?: number;
  readonly stop?: readonly string[];
  readonly choice?: readonly string[];
  readonly seed?: number | bigint;
}

const numberFlags = [
  ['--max-new-tokens <number>', 'most tokens to make (50)'],
  ['--min-new-tokens <number>', 'least tokens to make (0)'],
  ['--temperature <number>', 'above 0 draws at random (0)'],
  ['--top-k <number>', 'draw among the k best'],
  ['--top-p <number>', 'draw among the best with this probability together (0.9)'],
  ['--num-beams <number>', 'beams of the search; 1 streams as it goes (5)'],
  ['--length-penalty <number>', 'beam scores are divided by length to this power (0)'],
  ['--repetition-penalty <number>', 'above 1 makes repetition less likely (1)'],
  ['--no-repeat-ngram-size <number>', 'no run of this many tokens comes twice (off)'],
] as const;

export function withTextFlags(command: Command): Command {
  for (const [flags, description] of numberFlags)
    command.addOption(new Option(flags, description).argParser(number));
  return command
    .option('--seed <number>', 'seed of what is drawn at random', seedNumber)
    .option('--stop <texts...>', 'end before the first of these texts')
    .option('--choice <texts...>', 'the answer is exactly one of these texts');
}

/** The SDK's options of the flags; what is absent stays absent, so that the model's defaults hold. */
export function textOptions(flags: TextFlags, signal: AbortSignal): TextOptions {
  const { maxNewTokens, minNewTokens, temperature, topK, topP, numBeams, stop, choice, seed } = flags;
  const { lengthPenalty, repetitionPenalty, noRepeatNgramSize } = flags;
  const given = {
    maxNewTokens,
    minNewTokens,
    temperature,
    topK,
    topP,
    numBeams,
    lengthPenalty,
    repetitionPenalty,
    noRepeatNgramSize,
    seed,
    stopSequences: stop,
    choices: choice,
  };
  return { ...definedOnly(given), signal };
}

/** Without the entries that are undefined. */
export function definedOnly<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
