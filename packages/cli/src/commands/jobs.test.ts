import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { commandResult, jsonLines } from '../testing/command-result.js';

const models = join(import.meta.dirname, '../../../../models');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-jobs-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('lists and watches runs, whatever else lies beside them', async () => {
  const recipe = join(folder, 'recipe-of-mine.yaml');
  const run = join(folder, 'tiny', 'contrastive');
  await writeFile(
    recipe,
    `stage: contrastive
output_dir: ${run}
model: ${join(models, 'emu-tiny.json')}
tokenizer: ${join(models, 'tokenizer-drawn')}
sources: [{ name: pairs, drawn_world: { size: 64, kinds: { pair: 1 } } }]
max_steps: 2
per_device_train_batch_size: 4
logging_steps: 1
`,
  );
  await mkdir(join(folder, 'other'));
  await writeFile(join(folder, 'other', 'recipe.yaml'), 'cake: yes\n');
  expect((await commandResult(['train', recipe, '-q'])).status).toBe(0);
  const { stdout } = await commandResult(['jobs', 'ls', folder, '--json']);
  expect(jsonLines(stdout)).toMatchObject([
    {
      folder: run,
      stage: 'contrastive',
      state: 'finished',
      pid: null,
      step: 2,
      maxSteps: 2,
      metrics: { samples: 8 },
    },
  ]);
  const watched = await commandResult(['jobs', 'watch', run]);
  expect(watched.stdout).toMatch(/^finished {2}contrastive {2}2 of 2 steps {2}loss [\d.]+ {2}/);
  const over = await commandResult(['jobs', 'cancel', run]);
  expect(over).toMatchObject({ status: 1 });
  expect(over.stderr).toContain(`no process trains in ${run}: the run is finished`);
});

it('stops the process that holds the lock of a run', async () => {
  const run = join(folder, 'held');
  await mkdir(run);
  await writeFile(join(run, 'recipe.yaml'), 'stage: unified\nmax_steps: 9\n');
  const child = spawn('sleep', ['60']);
  const stat = await readFile(`/proc/${child.pid ?? 0}/stat`, 'latin1').catch(() => undefined);
  const start = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-';
  await writeFile(join(run, 'run.lock'), `${child.pid ?? 0} ${start}\n`);
  const ended = new Promise((resolve) =>
    child.on('close', (_, signal) => {
      resolve(signal);
    }),
  );
  const { stdout, status } = await commandResult(['jobs', 'cancel', run]);
  expect(await ended).toBe('SIGINT');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^stopped {3}unified {6}0 of 9 steps {2}/);
});

it('says that a folder is none of a run, and ends with 3', async () => {
  const { status, stderr } = await commandResult(['jobs', 'watch', join(folder, 'none')]);
  expect(status).toBe(3);
  expect(stderr).toContain('JOB_NOT_FOUND');
});
