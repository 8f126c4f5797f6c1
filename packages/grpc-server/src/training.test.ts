import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TrainingService, TrainingState, type WatchTrainingJobResponse } from '@emu/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';

const { createTrainingJob, getTrainingJob, listTrainingJobs, watchTrainingJob, cancelTrainingJob } =
  TrainingService.method;

/**
 * A process with the lines, arguments and signals of `emu train --json`, whose own tests train: here it is about the
 * process, so it takes no time and fails on demand.
 */
const program = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const settings = Object.fromEntries(process.argv.slice(3).filter((a) => a.includes('=')).map((a) => a.split(/=(.*)/)));
const say = (event) => console.log(JSON.stringify(event));
if (settings.seed === '666') { console.error('emu: INVALID_CONFIG: no such dataset'); process.exit(2); }
const maxSteps = Number(settings.max_steps ?? 3);
let step = existsSync('checkpoint') ? Number(readFileSync('checkpoint', 'utf8')) : 0;
say({ type: 'started', step, maxSteps, folder: settings.output_dir });
process.on('SIGTERM', () => { writeFileSync('checkpoint', String(step)); say({ type: 'checkpoint', step }); process.exit(143); });
const next = () => {
  step += 1;
  say({ type: 'step', step, maxSteps });
  say({ type: 'metrics', metrics: { step, loss: 1 / step } });
  if (step < maxSteps) setTimeout(next, 5);
};
next();
`;

let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;
let folder = '';
beforeAll(async () => {
  model = await openSmallModel();
  folder = await mkdtemp(join(tmpdir(), 'emu-jobs-'));
  const script = join(folder, 'train.mjs');
  await writeFile(script, program);
  const training = { folder: join(folder, 'jobs'), command: [process.execPath, script] as const };
  server = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent', training });
  await server.start();
  client = new TestClient(server.address ?? '');
});
afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
  await rm(folder, { recursive: true, force: true });
});

const recipeYaml = `stage: vae
from: somewhere
max_steps: 3
sources: [{ name: pairs, drawn_world: { kinds: { pair: 1 } } }]
`;

const statesOf = (events: readonly WatchTrainingJobResponse[]): readonly TrainingState[] =>
  events.flatMap(({ event }) => (event.case === 'stateChanged' ? [event.value.state] : []));

describe('training jobs', () => {
  it('run in a folder of their own and are followed to the end', async () => {
    const request = { recipeYaml, trainingJobId: 'first', overrides: ['max_steps=4'] };
    const { trainingJob } = await client.unary(createTrainingJob, request);
    expect(trainingJob?.name).toBe('trainingJobs/first');
    const name = 'trainingJobs/first';
    const events = await client.collect(watchTrainingJob, { name });
    expect(statesOf(events)).toEqual([TrainingState.QUEUED, TrainingState.RUNNING, TrainingState.SUCCEEDED]);
    const losses = events.flatMap(({ event }) =>
      event.case === 'metrics' ? [event.value.scalars['loss']] : [],
    );
    expect(losses).toEqual([1, 1 / 2, 1 / 3, 1 / 4]);
    const rest = await client.collect(watchTrainingJob, { name, afterSequence: events[1]?.sequence });
    expect(rest).toEqual(events.slice(2));
    const job = (await client.unary(getTrainingJob, { name })).trainingJob;
    expect({ step: job?.step, total: job?.totalSteps }).toEqual({ step: 4n, total: 4n });
    expect(await readFile(join(folder, 'jobs/first/recipe.yaml'), 'utf8')).toBe(recipeYaml);
  });

  it('stop at a safe point when they are cancelled; the next one gets its turn', async () => {
    await client.unary(createTrainingJob, {
      recipeYaml,
      trainingJobId: 'long',
      overrides: ['max_steps=100000'],
    });
    await client.unary(createTrainingJob, { recipeYaml, trainingJobId: 'next' });
    const following = client.collect(watchTrainingJob, { name: 'trainingJobs/next' });
    await expect
      .poll(async () => (await client.unary(getTrainingJob, { name: 'trainingJobs/long' })).trainingJob?.step)
      .toBeGreaterThan(2n);
    await client.unary(cancelTrainingJob, { name: 'trainingJobs/long' });
    expect(statesOf(await client.collect(watchTrainingJob, { name: 'trainingJobs/long' })).at(-1)).toBe(
      TrainingState.CANCELLED,
    );
    expect(statesOf(await following).at(-1)).toBe(TrainingState.SUCCEEDED);
    const { trainingJobs } = await client.unary(listTrainingJobs, { pageSize: 2 });
    expect(trainingJobs.map(({ name }) => name)).toEqual(['trainingJobs/next', 'trainingJobs/long']);
  });

  it('outlive their server: the next one with their folder goes on where they stopped', async () => {
    const script = join(folder, 'train.mjs');
    const training = { folder: join(folder, 'kept'), command: [process.execPath, script] as const };
    const start = async (): Promise<{ client: TestClient; stop: () => Promise<void> }> => {
      const one = createServer({ models: { small: model.emu }, port: 0, logLevel: 'silent', training });
      await one.start();
      const its = new TestClient(one.address ?? '');
      return { client: its, stop: () => (its.close(), one.drain({ graceMs: 0 })) };
    };
    const requestId = '7d5c4b9e-53f2-4a2a-9a5f-6f1f3f0f9d11';
    const long = { recipeYaml, trainingJobId: 'long', overrides: ['max_steps=200'], requestId };
    const before = await start();
    await before.client.unary(createTrainingJob, {
      recipeYaml,
      trainingJobId: 'done',
      overrides: ['seed=666'],
    });
    await before.client.collect(watchTrainingJob, { name: 'trainingJobs/done' });
    await before.client.unary(createTrainingJob, long);
    await before.client.unary(createTrainingJob, { recipeYaml, trainingJobId: 'waits' });
    const stepOf = async (one: TestClient): Promise<bigint> =>
      (await one.unary(getTrainingJob, { name: 'trainingJobs/long' })).trainingJob?.step ?? 0n;
    await expect.poll(() => stepOf(before.client)).toBeGreaterThan(2n);
    await before.stop();
    const stopped = Number(await readFile(join(folder, 'kept/long/checkpoint'), 'utf8'));
    expect(stopped).toBeGreaterThan(2);
    await writeFile(join(folder, 'kept/done/job.json.partial'), 'half'); // as kill -9 leaves it
    await mkdir(join(folder, 'kept/broken'));
    await writeFile(join(folder, 'kept/broken/job.json'), '{"version":1}');

    const after = await start();
    const events = await after.client.collect(watchTrainingJob, { name: 'trainingJobs/long' });
    expect(statesOf(events)).toEqual([TrainingState.QUEUED, TrainingState.RUNNING, TrainingState.SUCCEEDED]);
    const steps = events.flatMap(({ event }) => (event.case === 'metrics' ? [Number(event.value.step)] : []));
    expect(steps[0]).toBe(stopped + 1);
    expect(steps.at(-1)).toBe(200);
    await after.client.collect(watchTrainingJob, { name: 'trainingJobs/waits' });
    const { trainingJobs } = await after.client.unary(listTrainingJobs, {});
    expect(trainingJobs.map(({ name, state }) => [name.split('/')[1], state])).toEqual([
      ['waits', TrainingState.SUCCEEDED],
      ['long', TrainingState.SUCCEEDED],
      ['done', TrainingState.FAILED],
    ]);
    expect(trainingJobs[2]?.error?.message).toContain('no such dataset');
    // A repeat of the request finds it still.
    const again = await after.client.unary(createTrainingJob, long);
    expect(again.trainingJob?.state).toBe(TrainingState.SUCCEEDED);
    await after.stop();
  });

  it('tell why they failed', async () => {
    await client.unary(createTrainingJob, {
      recipeYaml,
      trainingJobId: 'bad',
      overrides: ['seed=666'],
    });
    await client.collect(watchTrainingJob, { name: 'trainingJobs/bad' });
    const { trainingJob } = await client.unary(getTrainingJob, { name: 'trainingJobs/bad' });
    expect(trainingJob?.state).toBe(TrainingState.FAILED);
    expect(trainingJob?.error?.message).toContain('exit status 2: emu: INVALID_CONFIG: no such dataset');
  });

  it.each([
    ['a text that is no recipe', { recipeYaml: 'a: 1' }, 'INVALID_CONFIG', 'recipe_yaml'],
    ['no YAML', { recipeYaml: '{[' }, 'INVALID_CONFIG', 'recipe_yaml'],
    ['a wrong setting', { recipeYaml, overrides: ['max_steps=x'] }, 'INVALID_CONFIG', 'recipe_yaml'],
    ['an empty recipe', { recipeYaml: ' ' }, 'INVALID_CONFIG', 'recipe_yaml'],
    ['a flag for a setting', { recipeYaml, overrides: ['--device=x'] }, 'INVALID_OPTION', 'overrides[0]'],
    ['a path for an id', { recipeYaml, trainingJobId: '../x' }, 'INVALID_OPTION', 'training_job_id'],
    ['an id that is taken', { recipeYaml, trainingJobId: 'first' }, 'REQUEST_CONFLICT', 'training_job_id'],
  ])('are refused for %s', async (_, request, reason, field) => {
    const failure = await failureOf(client.unary(createTrainingJob, request));
    expect({ reason: failure.info?.reason, field: failure.badRequest?.fieldViolations[0]?.field }).toEqual({
      reason,
      field,
    });
  });

  it('that nobody created are not there', async () => {
    const failure = await failureOf(client.unary(getTrainingJob, { name: 'trainingJobs/none' }));
    expect({ code: failure.code, resource: failure.resource?.resourceName }).toEqual({
      code: 'NOT_FOUND',
      resource: 'trainingJobs/none',
    });
  });
});
