import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';

import { commandLine } from './command-line.js';
import { environmentVariables } from './environment.js';
import { commandResult, jsonLines } from './testing/command-result.js';
import { processTerminal } from './terminal.js';
import { version } from './version.js';

/** Words of every command that does something, such as `model convert`. */
function verbs(command: Command, words: readonly string[] = []): readonly (readonly string[])[] {
  // A group such as `emu model` has no flags of its own; `emu bench` is a verb and has one below it.
  const isVerb = words.length > 0 && (command.commands.length === 0 || command.options.length > 0);
  const below = command.commands.flatMap((child) => verbs(child, [...words, child.name()]));
  return isVerb ? [words, ...below] : below;
}

const all = verbs(commandLine(processTerminal())).map((words) => [words.join(' '), words] as const);

describe('the command line', () => {
  it.each(all)('emu %s --help describes it, with an example, on stdout', async (name, words) => {
    const { status, stdout, stderr } = await commandResult([...words, '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`Usage: emu ${name}`);
    expect(stdout).toMatch(new RegExp(`Examples?:\\n.*emu ${name.split(' ')[0] ?? ''}`));
  });

  it('has every verb in docs/cli.md, and no other', async () => {
    const page = await readFile(join(import.meta.dirname, '../../../docs/cli.md'), 'utf8');
    const sections = [...page.matchAll(/^### emu (.+)$/gm)].map(([, name]) => name);
    expect(sections.sort()).toEqual(all.map(([name]) => name).sort());
  });

  it('prints its version on stdout', async () => {
    expect(await commandResult(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([
    [[], 'Usage: emu'],
    [['paint'], "unknown command 'paint'"],
    [['captoin'], 'Did you mean caption?'],
    [['model'], 'Usage: emu model'],
    [['model', 'convrt'], 'Did you mean convert?'],
    [['caption'], "missing required argument 'picture'"],
    [['ask', 'What?'], "required option '--image <paths...>' not specified"],
    [['score', 'a'], "required option '--candidate <texts...>' not specified"],
    [['encode', 'a.png'], "required option '-o, --output <file>' not specified"],
    [
      ['generate', 'a', '--max-new-token', '3'],
      "unknown option '--max-new-token'\n(Did you mean --max-new-tokens?)",
    ],
    [
      ['generate', 'a', '--top-k', 'many'],
      "option '--top-k <number>' argument 'many' is invalid. It must be a number.",
    ],
    [['generate', 'a', '--top-k', 'NaN'], 'It must be a number.'],
    [['generate', 'a', '--top-k', ''], 'It must be a number.'],
    [['generate', 'a', '--seed', '-1'], 'It must be a whole number, 0 or above.'],
    [['generate', 'a', '--dtype', 'bf18'], 'Did you mean bf16? It must be one of auto, f32, bf16.'],
    [['generate', 'a', '--device', 'tpu'], 'It must be one of cpu, reference.'],
    [['imagine', 'a', '--scheduler', 'ddin'], 'Did you mean ddim? It must be one of '],
    [['imagine', 'a', '-o', 'a.webp'], '[emu] --output a.webp ends in neither .png nor .jpg'],
    [['imagine', 'a', '-o', '/nowhere/a.png'], '[emu] --output /nowhere/a.png cannot be written: ENOENT'],
    [['imagine', 'a', '-o', '/tmp/.png/'], '[emu] --output /tmp/.png/ ends in neither .png nor .jpg'],
    [['generate', 'a', '--progress', 'loud'], 'It must be one of auto, bar, plain, json, none.'],
    [['bench', '--tokens', '0.5'], '[bench] --tokens must be a whole number in 1..1000, got 0.5'],
    [['generate', 'a'], 'INVALID_OPTION: [emu] no model was named\n     Pass --model DIR or set EMU_MODEL.'],
    [['completion'], 'Usage: emu completion'],
  ])('%j ends with 2 and says why on stderr', async (args, why) => {
    const { status, stdout, stderr } = await commandResult(args);
    expect(stderr).toContain(why);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('tells errors as JSON with --json, or with EMU_LOG=json', async () => {
    for (const [args, environment] of [
      [['generate', 'a', '--json'], {}],
      [['generate', 'a'], { EMU_LOG: 'json' }],
    ] as const) {
      const { status, stderr } = await commandResult(args, { environment });
      expect(status).toBe(2);
      expect(jsonLines(stderr)).toEqual([
        {
          type: 'error',
          code: 'INVALID_OPTION',
          message: '[emu] no model was named',
          hint: 'Pass --model DIR or set EMU_MODEL.',
          details: {},
        },
      ]);
    }
  });

  it('lists the variables it reads, and warns of others with the nearest name', async () => {
    const { status, stdout, stderr } = await commandResult(['env', '--json'], {
      environment: { EMU_MODLE: 'x', EMU_THREADS: '3', HOME: '/' },
    });
    expect(status).toBe(0);
    expect(stderr).toBe(
      'emu: the environment variable EMU_MODLE is unknown; did you mean EMU_MODEL? `emu env` lists those that are read\n',
    );
    const lines = jsonLines(stdout);
    expect(lines.map(({ name }) => name)).toEqual(environmentVariables.map(({ name }) => name));
    expect(lines.find(({ name }) => name === 'EMU_THREADS')).toEqual({
      name: 'EMU_THREADS',
      means: 'threads that run kernels',
      byDefault: 'the cores this process may use',
      value: '3',
    });
  });

  it('completes verbs and flags in bash', async () => {
    const { status, stdout } = await commandResult(['completion', 'bash']);
    expect(status).toBe(0);
    expect(stdout).toContain('"model") choices="ls inspect convert verify --help" ;;');
    expect(stdout).toMatch(/"imagine"\) choices=".*--guidance-scale/);
    expect((await commandResult(['completion', 'zsh'])).stdout).toMatch(/^autoload -U \+X bashcompinit/);
  });
});
