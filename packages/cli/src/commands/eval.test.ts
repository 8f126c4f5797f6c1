import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { scoreKeys } from '@emu/eval';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { commandResult, jsonLines, type CommandResult } from '../testing/command-result.js';
import { makeSmallModel } from '../testing/small-model.js';

let folder = '';
let model = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-eval-'));
  model = join(folder, 'model');
  await makeSmallModel(model);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const evaluate = (...args: string[]): Promise<CommandResult> =>
  commandResult(['eval', model, '--suite', 'tiny', '--limit', '2', '--threads', '1', ...args]);

describe('emu eval', () => {
  it('prints and saves every key, those of a compared model too, and goes on where it was stopped', async () => {
    const output = join(folder, 'result.json');
    const only = ['--only', 'vqa_accuracy,fewshot_accuracy_0', '--compare', model, '-o', output];
    const first = await evaluate('--json', ...only);
    expect(first.status).toBe(0);
    const [printed] = jsonLines(first.stdout);
    const keys = [...scoreKeys, ...scoreKeys.map((key) => `${key}_text_only`)];
    expect(Object.keys(printed?.['scores'] ?? {})).toEqual(keys);
    expect(printed).toMatchObject({
      suite: 'tiny',
      model,
      compare: model,
      limit: 2,
      scores: { vqa_accuracy: 0, vqa_accuracy_text_only: 0, fewshot_accuracy_0: 0, t2i_frechet: null },
      details: { vqa_accuracy: { value: 0, count: 2, target: 'at least 0.95', met: false } },
    });
    const saved = JSON.parse(await readFile(output, 'utf8')) as object;
    expect(saved).toMatchObject(printed ?? {});
    expect(await readFile(join(folder, 'result.md'), 'utf8')).toContain('| vqa_accuracy | 0.000 |');

    const more = await evaluate('--only', 'fewshot_accuracy_2', '-o', output);
    expect(more.stderr).toContain('2 scores are known from');
    expect(more.stdout).toMatch(/vqa_accuracy .*MISSED\n/);
    expect(more.stdout).toMatch(/fewshot_accuracy_2 +0\.000/);
    expect(more.stdout).toContain('Missed: vqa_accuracy is 0.000, should be at least 0.95');
  });

  it('measures the text-only model that lies beside a model, unless told not to', async () => {
    const beside = `${model}-text-only`;
    await symlink(model, beside);
    try {
      const output = join(folder, 'beside.json');
      const ask = async (...args: string[]): Promise<unknown> =>
        jsonLines(
          (await evaluate('--json', '--only', 'fewshot_accuracy_0', '-o', output, ...args)).stdout,
        )[0];
      expect(await ask()).toMatchObject({ compare: beside, scores: { fewshot_accuracy_0_text_only: 0 } });
      const alone = (await ask('--no-compare')) as { scores: object };
      expect(alone).toMatchObject({ compare: null });
      expect(Object.keys(alone.scores)).toEqual(scoreKeys);
    } finally {
      await rm(beside);
    }
  });

  it('measures anew for other settings, after damage, and when it is told to', async () => {
    const output = join(folder, 'again.json');
    const ask = (...args: string[]): Promise<CommandResult> =>
      evaluate('--only', 'fewshot_accuracy_0', '-o', output, ...args);
    expect((await ask()).stderr).not.toContain('known');
    expect((await ask()).stderr).toContain('1 scores are known');
    expect((await ask('--fresh')).stderr).not.toContain('known');
    expect((await ask('--seed', '7')).stderr).not.toContain('known');
    await writeFile(output, '{"suite":"tiny"');
    const { status, stderr } = await ask();
    expect({ status, known: stderr.includes('known') }).toEqual({ status: 0, known: false });
  });

  it('names the nearest score and a file that cannot be written', async () => {
    const unknown = await evaluate('--only', 'vqa_acuracy');
    expect(unknown).toMatchObject({ status: 2, stdout: '' });
    expect(unknown.stderr).toContain('there is no score "vqa_acuracy"\n     Did you mean vqa_accuracy?');
    const unwritable = await evaluate(
      '--only',
      'fewshot_accuracy_0',
      '-o',
      join(model, 'config.json', 'x.json'),
    );
    expect(unwritable.status).toBe(2);
    expect(unwritable.stderr).toContain('x.json cannot be written');
  });
});
