import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { SignalStop } from '../terminal.js';
import { commandResult, jsonLines, type CommandResult } from '../testing/command-result.js';

const models = join(import.meta.dirname, '../../../../models');

let folder = '';
let recipe = '';
let output = '';
let runs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-train-cli-'));
  recipe = join(folder, 'recipe.yaml');
  await writeFile(
    recipe,
    `stage: contrastive
output_dir: nowhere
model: ${join(models, 'emu-tiny.json')}
tokenizer: ${join(models, 'tokenizer-drawn')}
sources:
  - name: pairs
    drawn_world: { size: 64, kinds: { pair: 1 } }
max_steps: 4
per_device_train_batch_size: 4
learning_rate: 1.0e-3
logging_steps: 2
save_steps: 2
`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => {
  output = join(folder, `run-${runs++}`);
});

const train = (...args: readonly string[]): Promise<CommandResult> =>
  commandResult(['train', recipe, `output_dir=${output}`, ...args]);

describe('emu train', () => {
  it('trains, tells of it in JSON lines, and goes on when the command is repeated', async () => {
    const first = await train('max_steps=4', '--json');
    expect(first.status, first.stderr).toBe(0);
    const events = jsonLines(first.stdout);
    expect(events.map(({ type }) => type)).toEqual([
      'started',
      'metrics',
      'checkpoint',
      'metrics',
      'checkpoint',
      'finished',
    ]);
    expect(events[0]).toMatchObject({ task: 'contrastive', step: 0, maxSteps: 4, resumedFrom: null });
    expect(events[1]?.['metrics']).toMatchObject({ step: 2, samples: 8 });
    expect(Object.keys(events[1]?.['metrics'] as object)).toEqual([
      'step',
      'loss',
      'loss.picture_to_text',
      'loss.text_to_picture',
      'grad_norm',
      'learning_rate',
      'tokens_per_second',
      'samples_per_second',
      'samples',
      'tokens',
      'images',
      'seconds',
    ]);
    const again = await train('max_steps=4');
    expect(again.stderr).toContain(`going on from ${join(output, 'checkpoint-4')}: step 4 of 4`);
    expect(again.stdout).toBe(
      `4 steps; model ${join(output, 'model')}, report ${join(output, 'report.html')}\n`,
    );
    const resolved = await readFile(join(output, 'recipe.yaml'), 'utf8');
    expect(resolved).toContain('max_steps: 4 # command line max_steps=4\n');
    expect(resolved).toContain(`learning_rate: 0.001 # ${recipe}:10:16\n`);
  });

  it('writes a checkpoint and ends with 130 on Ctrl-C, and the next run goes on from there', async () => {
    const controller = new AbortController();
    const stopped = await commandResult(['train', recipe, `output_dir=${output}`, 'max_steps=50', '--json'], {
      signal: controller.signal,
      onStdout: (text) => {
        if (text.includes('"checkpoint"')) controller.abort(new SignalStop('SIGINT'));
      },
    });
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toBe('emu: stopped by SIGINT\n');
    const last = jsonLines(stopped.stdout).at(-1);
    expect(last).toMatchObject({ type: 'checkpoint' });
    const resumed = await train('max_steps=50', '--resume', 'never');
    expect(resumed.status).toBe(2);
    expect(resumed.stderr).toContain('checkpoints of an earlier run');
  });

  it('runs several recipes one after another, the later ones from what the earlier ones made', async () => {
    const second = join(folder, 'second.yaml');
    const text = (await readFile(recipe, 'utf8')).replace(
      /^model: .*\ntokenizer: .*$/m,
      `from: ${output}/model`,
    );
    await writeFile(second, text.replace('nowhere', `${output}-second`));
    const first = join(folder, 'first.yaml');
    await writeFile(first, (await readFile(recipe, 'utf8')).replace('nowhere', output));
    const { status, stdout, stderr } = await commandResult(['train', first, second, 'max_steps=2', '--json']);
    expect(status, stderr).toBe(0);
    const finished = jsonLines(stdout).filter(({ type }) => type === 'finished');
    expect(finished.map(({ model }) => model)).toEqual([
      join(output, 'model'),
      join(`${output}-second`, 'model'),
    ]);
  });

  /** The recipe with another output_dir, and other lines. */
  const variant = async (name: string, changes: (text: string) => string): Promise<string> => {
    const path = join(folder, name);
    const text = (await readFile(recipe, 'utf8')).replace('nowhere', `${output}-${name}`);
    await writeFile(path, changes(text));
    return path;
  };
  const startingFrom = (model: string) => (text: string) =>
    text.replace(/^model: .*\ntokenizer: .*$/m, `from: ${model}`);

  it('finds what is wrong in any recipe before the first begins', async () => {
    const first = await variant('one.yaml', (text) => text);
    const slip = await variant('two.yaml', (text) => text.replace('learning_rate', 'learning_rat'));
    const rule = await variant(
      'three.yaml',
      (text) => `${text}parameter_rules: [{ match: heads, freeze: true }]\n`,
    );
    const lost = await variant('four.yaml', startingFrom(`${output}-nobody/model`));
    for (const [others, status, message] of [
      [[slip], 2, 'there is no key "learning_rat"'],
      [[rule], 2, '"heads" matches none of'],
      [[lost], 3, `${output}-nobody/model`],
      [[first], 2, 'have the same output_dir'],
      [['max_steps'], 2, '[train] "max_steps" is neither a recipe file nor a setting key=value'],
      [['max_steps=1', 'seed'], 2, '"seed" is not key=value'],
    ] as const) {
      const result = await commandResult(['train', first, ...others]);
      expect(result, result.stderr).toMatchObject({ status, stdout: '' });
      expect(result.stderr).toContain(message);
    }
    await expect(readFile(join(`${output}-one.yaml`, 'recipe.yaml'))).rejects.toThrow('ENOENT');
  });

  it('plans recipes whose models are not made yet', async () => {
    const first = await variant('a.yaml', (text) => text);
    const second = await variant('b.yaml', startingFrom(`${output}-a.yaml/model`));
    const third = await variant('c.yaml', startingFrom(`${output}-b.yaml/model`));
    const hardware = ['--dry-run', '--json', '--hardware', 'flops=1e12,memory=8GiB'];
    const all = await commandResult(['train', first, second, third, ...hardware]);
    expect(all.status, all.stderr).toBe(0);
    const [plan, ...others] = jsonLines(all.stdout);
    expect(others).toEqual([plan, plan]);
    // Alone: the others lie beside it.
    const alone = await commandResult(['train', third, 'max_steps=4', ...hardware]);
    expect(alone.status, alone.stderr).toBe(0);
    expect(jsonLines(alone.stdout)).toEqual([plan]);
  });

  it.runIf(existsSync('/proc/self'))('comes back from a folder that cannot be', async () => {
    const { status, stderr } = await train('output_dir=/proc/nope');
    expect(status).toBe(2);
    expect(stderr).toContain('INVALID_OPTION: [write] /proc/nope: the system makes no folder there');
  });

  it('names a sample that rows are too small for before it makes anything', async () => {
    const rows = await variant('rows.yaml', (text) => text.replace('contrastive', 'unified'));
    const { status, stdout, stderr } = await commandResult(['train', rows, 'sequence_length=8']);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('sequence_length');
    await expect(readFile(join(`${output}-rows.yaml`, 'recipe.yaml'))).rejects.toThrow('ENOENT');
  });

  it('plans without running', async () => {
    const { status, stdout } = await train('--dry-run', '--json', '--hardware', 'flops=1e12,memory=8GiB');
    expect(status).toBe(0);
    const [plan] = jsonLines(stdout);
    expect(plan).toMatchObject({ task: 'contrastive', fits: true, time: { steps: 4, samplesPerStep: 4 } });
    const text = await train('--dry-run', '--hardware', 'flops=1e12,memory=8GiB');
    expect(text.stdout).toMatch(
      /^task +contrastive: [\d.]+ M trained.*\nhardware .*\nmemory .*\ntime .*\ndisk .*\n$/,
    );
    await expect(readFile(join(output, 'recipe.yaml'))).rejects.toThrow('ENOENT');
  });

  it('refuses what does not fit, with the plan, and ends with 4', async () => {
    const { status, stdout, stderr } = await train('--dry-run', '--hardware', 'flops=1e12,memory=16MiB');
    expect(status).toBe(4);
    expect(stdout).toContain('DOES NOT FIT');
    expect(stderr).toMatch(/^emu: OUT_OF_MEMORY: \[train\] contrastive needs .*; a device has 0\.016 GiB\n/);
  });

  it('plans for this machine', async () => {
    const { status, stdout } = await train('--dry-run', '--json', '--device', 'reference');
    expect(status).toBe(0);
    expect(jsonLines(stdout)[0]?.['hardware']).toMatchObject({ gpus: 1, measured: true });
  });

  it('names the place of what is wrong in a recipe and ends with 2', async () => {
    const slip = await train('learning_rat=1');
    expect(slip.status).toBe(2);
    expect(slip.stderr).toBe(
      'emu: INVALID_CONFIG: [recipe] command line learning_rat=1 there is no key "learning_rat"\n' +
        '     Did you mean learning_rate?\n',
    );
    expect((await commandResult(['train', join(folder, 'none.yaml')])).status).toBe(3);
    expect((await commandResult(['train'])).status).toBe(2);
    const hardware = await train('--dry-run', '--hardware', 'memroy=1GiB,flops=1');
    expect(hardware.stderr).toContain('Did you mean memory?');
  });

  it('prints the JSON Schema of recipes', async () => {
    const { stdout } = await commandResult(['train', '--json-schema']);
    const schema = JSON.parse(stdout) as { oneOf: { title: string; properties: object }[] };
    expect(schema.oneOf.map(({ title }) => title)).toContain('unified');
    for (const { properties } of schema.oneOf) expect(Object.keys(properties)).toContain('learning_rate');
  });
});
