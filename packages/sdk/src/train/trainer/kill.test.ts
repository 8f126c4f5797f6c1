import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  bundleForProcess,
  runProcess,
  type ProcessOptions,
  type ProcessOutcome,
} from '../../testing/bundled-process.js';
import type { TrainOrder } from '../../testing/train-process.js';

// More of them by hand: EMU_KILLS=200 npx vitest run src/train/trainer/kill.test.ts
const kills = Number(process.env['EMU_KILLS'] ?? 12);

let script = '';
let folder = '';
beforeAll(async () => {
  script = await bundleForProcess('train-process');
  folder = await mkdtemp(join(tmpdir(), 'emu-kill-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function order(name: string, maxSteps = 400): TrainOrder {
  return {
    folder: join(folder, name),
    device: 'cpu',
    recipe: {
      max_steps: maxSteps,
      save_steps: 4,
      logging_steps: 3,
      eval_steps: 15,
      sample_steps: 10,
      ema_decay: 0.99,
      gradient_accumulation_steps: 2,
    },
    task: { batchSize: 8, seed: 11 },
  };
}

const runOrder = (what: TrainOrder, options?: ProcessOptions): Promise<ProcessOutcome> =>
  runProcess(script, what, options);

const weightsOf = (name: string): Promise<Buffer> =>
  readFile(join(folder, name, 'model', 'model.safetensors'));

/** The lines of metrics.jsonl without what a clock decides. */
async function timelessMetrics(name: string): Promise<readonly Record<string, unknown>[]> {
  const text = await readFile(join(folder, name, 'metrics.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const { seconds, tokens_per_second, samples_per_second, ...rest } = JSON.parse(line) as Record<
        string,
        number
      >;
      return {
        ...rest,
        timed: [seconds, tokens_per_second, samples_per_second].map((value) => typeof value),
      };
    });
}

describe('a run that is killed', () => {
  it(
    'at any moment ends with the bytes and the log of one that is not',
    { timeout: 30_000 + 3000 * kills },
    async () => {
      const undisturbed = await runOrder(order('whole'));
      expect(undisturbed).toMatchObject({ status: 0, stderr: '' });
      let killed = 0;
      let outcome: ProcessOutcome | undefined;
      for (let attempt = 0; attempt < 20 * kills && outcome?.status !== 0; attempt++) {
        // From the start of the run: a kill while it opens, steps, writes a checkpoint, samples, saves.
        const delay = killed < kills ? Math.random() * 120 : Infinity;
        let timer: NodeJS.Timeout | undefined;
        outcome = await runOrder(order('killed'), {
          onStdout: (_, child) => {
            if (delay < Infinity) timer ??= setTimeout(() => child.kill('SIGKILL'), delay);
          },
        });
        clearTimeout(timer);
        if (outcome.status === null) killed++;
        else expect(outcome, outcome.stderr).toMatchObject({ status: 0 });
      }
      expect(outcome?.status).toBe(0);
      expect(killed).toBeGreaterThanOrEqual(Math.min(kills, 2));
      expect((await weightsOf('killed')).equals(await weightsOf('whole'))).toBe(true);
      expect(await timelessMetrics('killed')).toEqual(await timelessMetrics('whole'));
      const names = (await readdir(join(folder, 'killed'))).sort();
      expect(names).toEqual((await readdir(join(folder, 'whole'))).sort());
      console.info(`${killed} kills`);
    },
  );

  it('by a second run that is started at once, is not disturbed: one of them refuses', async () => {
    const both = await Promise.all([runOrder(order('twice', 40)), runOrder(order('twice', 40))]);
    const refused = both.filter(({ status }) => status !== 0);
    for (const { stderr } of refused) expect(stderr).toMatch(/^REQUEST_CONFLICT: .* trains in this folder/);
    expect(refused.length).toBeLessThan(2);
  });
});

describe('a disk that is full', () => {
  it('is named, and nothing written before is lost', async () => {
    const what = order('limited', 24);
    const first = await runOrder(what, {
      onStdout: (text, child) => {
        if (text.includes('"type":"step","step":9')) child.kill('SIGINT');
      },
    });
    expect(first.stderr).toContain('stopped by SIGINT');
    const before = await readdir(what.folder);
    const stopped = before.filter((name) => name.startsWith('checkpoint-')).sort();
    // 4 KiB a file: less than a checkpoint needs.
    const limited = await runOrder(what, { before: 'ulimit -f 4' });
    expect(limited.status).toBe(1);
    expect(limited.stderr).toMatch(
      /^INVALID_OPTION: \[write\] .*state\.safetensors: the file would be larger than/,
    );
    expect((await readdir(what.folder)).filter((name) => name.startsWith('checkpoint-')).sort()).toEqual(
      stopped,
    );
    expect(await runOrder(what)).toMatchObject({ status: 0 });
    expect(await runOrder(order('unlimited', 24))).toMatchObject({ status: 0 });
    expect((await weightsOf('limited')).equals(await weightsOf('unlimited'))).toBe(true);
  });

  it('is named when it is the log that does not fit', async () => {
    const what = order('log', 24);
    await mkdir(what.folder);
    await symlink('/dev/full', join(what.folder, 'metrics.jsonl'));
    const outcome = await runOrder(what);
    expect(outcome.stderr).toMatch(
      /^OUT_OF_MEMORY: \[write\] .*metrics\.jsonl: no space is left on the disk/,
    );
  });

  const mount = join(tmpdir(), `emu-full-${process.pid}`);
  let mounted = false;
  beforeAll(async () => {
    await mkdir(mount);
    mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48k', 'tmpfs', mount]).status === 0;
    if (!mounted)
      console.warn('this user may not mount a small file system; a disk that is really full is not tested');
  });
  afterAll(async () => {
    if (mounted) spawnSync('umount', [mount]);
    await rm(mount, { recursive: true, force: true });
  });

  it('is named when a checkpoint does not fit, and the checkpoints before it stay', async (context) => {
    if (!mounted) context.skip();
    const what = order('unused', 60);
    const recipe = { ...what.recipe, save_total_limit: 50 };
    const outcome = await runOrder({ ...what, folder: mount, recipe });
    expect(outcome.status).toBe(1);
    expect(outcome.stderr).toMatch(/^OUT_OF_MEMORY: \[write\] .*: no space is left on the disk/);
    const left = await readdir(mount);
    expect(left.filter((name) => /^checkpoint-\d+$/.test(name)).length).toBeGreaterThan(0);
    expect(left.filter((name) => name.includes('.partial'))).toEqual([]);
  });
});
