import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmuError, ReferenceBackend } from '@emu/program';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { backendOf } from '../../node-device.js';
import { smallRecipe, smallTask, type SmallTaskOptions } from '../../testing/small-training-task.js';
import type { Recipe } from '../recipe/schema.js';
import type { TrainingEvent } from './events.js';
import { train, type TrainOptions } from './train.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-train-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const backend = new ReferenceBackend();

async function run(
  name: string,
  changes: Partial<Recipe> = {},
  task: Partial<SmallTaskOptions> = {},
  options: Partial<TrainOptions> = {},
): Promise<{ readonly events: readonly TrainingEvent[]; readonly folder: string }> {
  const path = join(folder, name);
  const events: TrainingEvent[] = [];
  await train({
    backend,
    task: smallTask({ batchSize: 8, seed: 3, ...task }),
    recipe: smallRecipe(path, changes),
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { events, folder: path };
}

async function metricsOf(path: string): Promise<readonly Record<string, number>[]> {
  const text = await readFile(join(path, 'metrics.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
}

const modelBytes = (path: string): Promise<Buffer> => readFile(join(path, 'model', 'model.safetensors'));

/** What went wrong; fails if nothing did. */
async function failure(work: Promise<unknown>): Promise<EmuError> {
  try {
    await work;
  } catch (error) {
    if (EmuError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('nothing went wrong');
}

describe('a run', () => {
  it('learns, and writes losses, checkpoints, samples, model and report', async () => {
    const { events, folder: path } = await run('a', {
      max_steps: 60,
      eval_steps: 30,
      sample_steps: 30,
      ema_decay: 0.9,
    });
    const lines = await metricsOf(path);
    const [first, last] = [lines[0], lines.at(-2)];
    expect(last?.['loss']).toBeLessThan((first?.['loss'] ?? 0) * 0.5);
    expect(first?.['loss']).toBeCloseTo((first?.['loss.text'] ?? 0) + (first?.['loss.visual'] ?? 0), 5);
    expect(lines.filter((line) => 'eval_loss' in line).map((line) => line['step'])).toEqual([30, 60]);
    expect(first).toMatchObject({ step: 3, samples: 24, tokens: 192 });
    expect((await readdir(path)).sort()).toEqual([
      'checkpoint-55',
      'checkpoint-60',
      'events.out.tfevents.0.emu',
      'metrics.jsonl',
      'model',
      'recipe.yaml',
      'report.html',
      'samples',
    ]);
    expect((await readdir(join(path, 'samples'))).sort()).toEqual(['step-30', 'step-60']);
    const report = await readFile(join(path, 'report.html'), 'utf8');
    expect(report).toContain('data:image/png;base64,');
    expect(report).toContain('size of the &lt;body&gt;');
    expect(report).toContain('<polyline');
    expect(report).not.toMatch(/(src|href)="(?!data:)/);
    expect(events.at(-1)).toMatchObject({ type: 'finished', step: 60 });
  });

  it('says what it does not change, and leaves it as it was', async () => {
    const { events, folder: path } = await run('a', {
      parameter_rules: [{ match: 'head.*', freeze: true }],
    });
    expect(events[0]).toMatchObject({ type: 'started', trainedParameters: 264, frozenParameters: 256 });
    const other = await run('b', { parameter_rules: [{ match: 'head', freeze: true }], max_steps: 1 });
    const header = (bytes: Buffer): Buffer => bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE()));
    const [long, short] = [await modelBytes(path), await modelBytes(other.folder)];
    expect(header(long).equals(header(short))).toBe(true);
    // Tensors lie in the order of their names: body.*, frozen.projection and head.* come before norm.*.
    const body = header(long).length;
    const frozen = body + 4 * (24 + 24 * 8);
    const norm = long.length - 4 * 48;
    expect(long.subarray(frozen, norm).equals(short.subarray(frozen, norm))).toBe(true);
    expect(long.subarray(body, frozen).equals(short.subarray(body, frozen))).toBe(false);
  });

  it('makes the same of one batch of 8 as of two micro-batches of 4, but for rounding', async () => {
    const once = await run('a', {}, { batchSize: 8 });
    const twice = await run('b', { gradient_accumulation_steps: 2 }, { batchSize: 4 });
    const losses = await Promise.all([once, twice].map(({ folder: path }) => metricsOf(path)));
    for (const [index, line] of (losses[0] ?? []).entries()) {
      expect(losses[1]?.[index]).toMatchObject({ step: line['step'], samples: line['samples'] });
      expect(losses[1]?.[index]?.['loss']).toBeCloseTo(line['loss'] ?? NaN, 4);
      expect(losses[1]?.[index]?.['grad_norm']).toBeCloseTo(line['grad_norm'] ?? NaN, 4);
    }
  });

  it('gives the same bytes with one thread as with two, and on the C++ backend nearly those of plain loops', async () => {
    const cpu = backendOf('cpu');
    const one = await run('one', {}, {}, { backend: cpu, threads: 1 });
    const two = await run('two', {}, {}, { backend: cpu, threads: 2 });
    expect((await modelBytes(one.folder)).equals(await modelBytes(two.folder))).toBe(true);
    const plain = await metricsOf((await run('plain')).folder);
    for (const [index, line] of (await metricsOf(one.folder)).entries()) {
      expect(line['loss']).toBeCloseTo(plain[index]?.['loss'] ?? NaN, 5);
    }
  });

  it('gives the same bits with recomputation', async () => {
    const kept = await run('a');
    const recomputed = await run('b', { gradient_checkpointing: true });
    expect((await modelBytes(kept.folder)).equals(await modelBytes(recomputed.folder))).toBe(true);
  });
});

describe('resuming', () => {
  it.each([
    ['in f32', {}, {}],
    ['with an average and accumulation', { ema_decay: 0.99, gradient_accumulation_steps: 2 }, {}],
    ['in bf16', { bf16: true }, { matrices: 'bf16' }],
  ] as const)('after a stop gives the bytes of an undisturbed run, %s', async (_, changes, task) => {
    const whole = await run('whole', changes, task);
    const reason = new Error('stop');
    const controller = new AbortController();
    await expect(
      run('parts', changes, task, {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === 'step' && event.step === 7) controller.abort(reason);
        },
      }),
    ).rejects.toBe(reason);
    const { events, folder: path } = await run('parts', changes, task);
    expect(events[0]).toMatchObject({ type: 'started', step: 7, resumedFrom: join(path, 'checkpoint-7') });
    expect((await modelBytes(path)).equals(await modelBytes(whole.folder))).toBe(true);
    const timeless = (line: Record<string, number>): object => ({
      ...line,
      seconds: 0,
      tokens_per_second: 0,
      samples_per_second: 0,
    });
    expect((await metricsOf(path)).map(timeless)).toEqual((await metricsOf(whole.folder)).map(timeless));
  });

  it('passes over a damaged checkpoint and says so', async () => {
    const { folder: path } = await run('a');
    const newest = join(path, 'checkpoint-20', 'state.safetensors');
    const bytes = await readFile(newest);
    bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1;
    await writeFile(newest, bytes);
    const { events } = await run('a');
    expect(events[0]).toMatchObject({
      type: 'warning',
      message: expect.stringContaining('checkpoint-20') as string,
    });
    expect(events[1]).toMatchObject({ type: 'started', step: 15 });
  });

  it('passes over a checkpoint whose record was altered, and reads those of before records had a checksum', async () => {
    const { folder: path } = await run('a');
    const record = join(path, 'checkpoint-20', 'checkpoint.json');
    const text = await readFile(record, 'utf8');
    const { position } = JSON.parse(text) as { position: number };
    const altered = text.replace(`"position": ${position}`, `"position": ${position + 1}`);
    expect(altered).not.toBe(text);
    const withoutChecksum = (written: string): string => written.replace(/,\s*"sha256": "\w+"\s*}\s*$/, '}');
    for (const damaged of [altered, withoutChecksum(text)]) {
      await writeFile(record, damaged);
      const { events } = await run('a', { max_steps: 20 });
      expect(events[0]).toMatchObject({
        type: 'warning',
        message: `[train] ${record}: its SHA-256 is not the one that was written; trying the one before it`,
      });
      expect(events[1]).toMatchObject({ type: 'started', step: 15 });
    }
    // Of the record as it is now: it tells how long the logs were, whose lines hold times.
    const now = withoutChecksum(await readFile(record, 'utf8'));
    await writeFile(record, now.replace('"version": 2', '"version": 1'));
    expect((await run('a')).events[0]).toMatchObject({ type: 'started', step: 20 });
  });

  it('refuses another recipe in the same folder, key by key', async () => {
    const { folder: path } = await run('a');
    const error = await failure(run('a', { learning_rate: 0.5, logging_steps: 7 }));
    expect(error.code).toBe('INVALID_CONFIG');
    expect(error.message).toContain('learning_rate was 0.02, is 0.5');
    expect(error.message).not.toContain('logging_steps');
    const never = await failure(run('a', { resume_from_checkpoint: 'never' }));
    expect(never.message).toContain(`${path} has 2 checkpoints of an earlier run`);
  });

  it('starts from a named checkpoint with another recipe, and goes on from its own afterwards', async () => {
    const { folder: path } = await run('a');
    const from = join(path, 'checkpoint-15');
    const changes = { learning_rate: 0.01, resume_from_checkpoint: from };
    const { events } = await run('b', changes);
    expect(events[0]).toMatchObject({ type: 'started', step: 15, resumedFrom: from });
    const again = await run('b', changes);
    expect(again.events[0]).toMatchObject({ resumedFrom: join(folder, 'b', 'checkpoint-20') });
  });

  it('has nothing left to do when the run is over', async () => {
    const first = await run('a');
    const before = await modelBytes(first.folder);
    const { events } = await run('a');
    expect(events.map(({ type }) => type)).toEqual(['started', 'finished']);
    expect((await modelBytes(first.folder)).equals(before)).toBe(true);
  });
});

describe('a run that is stopped before its first step', () => {
  it('makes no step and leaves no checkpoint', async () => {
    const controller = new AbortController();
    const task = smallTask({ batchSize: 8, seed: 3 });
    const batches: typeof task.batches = (from) => {
      const stream = task.batches(from);
      return {
        next: async () => {
          await Promise.resolve();
          controller.abort(new Error('stopped'));
          return stream.next();
        },
        position: () => stream.position(),
        close: () => stream.close(),
      };
    };
    const events: TrainingEvent[] = [];
    const running = train({
      backend,
      task: { ...task, batches },
      recipe: smallRecipe(join(folder, 'a')),
      signal: controller.signal,
      onEvent: (event) => events.push(event),
    });
    await expect(running).rejects.toThrow('stopped');
    expect(events.map(({ type }) => type)).toEqual(['started']);
  });
});

describe('what goes wrong', () => {
  it('names the batch and the op that made a NaN, and keeps the last good checkpoint', async () => {
    const error = await failure(run('a', {}, { poisoned: 12 }));
    expect(error.code).toBe('NON_FINITE');
    expect(error.message).toMatch(
      /^\[train\] step 13: loss\S* is NaN in batch "points 96\.\.103"; first \[linear\] call \d+ made/,
    );
    expect(error.hint).toContain('checkpoint-10');
    expect(await readdir(join(folder, 'a'))).toContain('checkpoint-10');
    expect((await metricsOf(join(folder, 'a'))).at(-1)?.['step']).toBe(12);
  });

  it('refuses a second process in one folder', async () => {
    const errors: EmuError[] = [];
    await run(
      'a',
      {},
      {},
      {
        onEvent: (event) => {
          if (event.type === 'started') void failure(run('a')).then((error) => errors.push(error));
        },
      },
    );
    expect(errors[0]?.code).toBe('REQUEST_CONFLICT');
    expect(errors[0]?.message).toContain(`process ${process.pid} trains in this folder`);
  });

  it('names a folder that cannot be written', async () => {
    await writeFile(join(folder, 'file'), '');
    const error = await failure(run('file/run'));
    expect(error).toMatchObject({ code: 'INVALID_OPTION' });
    expect(error.message).toContain(join(folder, 'file/run'));
    expect(error.message).toContain('a part of the path is not a folder');
  });

  it('ends with the data', async () => {
    const { events } = await run('a', {}, { batches: 7 });
    expect(events).toContainEqual({ type: 'warning', message: 'the data ended after step 7 of 20' });
    expect(events.at(-1)).toMatchObject({ type: 'finished', step: 7 });
  });

  it('refuses a size that does not fit before it makes anything', async () => {
    const error = await failure(run('a', {}, {}, { memoryLimitBytes: 9000 }));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(error.message).toMatch(/^\[train\] small needs .* GiB: weights .*; there are 0\.0000084 GiB$/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a run whose files have no room, but not one that goes on', async () => {
    const error = await failure(run('a', {}, {}, { diskLimitBytes: 9000 }));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(error.message).toBe(
      '[train] 3 checkpoints and the model need 0.000017 GiB of disk; there are 0.0000084 GiB',
    );
    expect(await readdir(folder)).toEqual([]);
    await run('a', {}, {}, { diskLimitBytes: 20_000 });
    await run('a', {}, {}, { diskLimitBytes: 9000 });
  });

  it('names a rule that matches nothing', async () => {
    const error = await failure(run('a', { parameter_rules: [{ match: 'heads', freeze: true }] }));
    expect(error.message).toContain('"heads" matches none of 7 parameters');
    expect(error.hint).toContain('Did you mean head?');
  });
});
