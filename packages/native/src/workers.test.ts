import { print } from '@emu/program';
import { describe, expect, it } from 'vitest';
import { Worker } from 'node:worker_threads';

import { addonCandidates } from './addon.js';
import { CpuBackend } from './index.js';
import { longInput, longProgram, longRows, longWeight, longWidth } from './testing/long-program.js';

// A worker runs plain JavaScript: it uses the addon itself, as cpu-backend.ts does.
const workerSource = `
const { parentPort, workerData } = require('node:worker_threads');
const { path, program, weight, width, x, outputLength, runs } = workerData;
const addon = require(path);
const settled = (start) => new Promise((resolve, reject) => {
  start((code, message, result) => (code === null ? resolve(result) : reject(new Error(code + ': ' + message))));
});
(async () => {
  const session = addon.openSession(1, '');
  const request = { name: 'w', shape: [width, width], dtype: 1, layout: 1, storedDtype: 1, data: weight };
  await settled((callback) => addon.loadWeight(session, request, callback));
  const { executable } = addon.compile(session, program);
  parentPort.postMessage('ready');
  const y = new Float32Array(outputLength);
  for (let run = 0; run < runs; run++) {
    await settled((callback) => addon.run(executable, [x], [y], new Int32Array(1), false, false, callback));
  }
  await settled((callback) => addon.closeSession(session, callback));
  addon.closeExecutable(executable);
  parentPort.postMessage(y);
})();
`;

const path = addonCandidates().at(-1) ?? '';

function startWorker(seed: number, calls: number, runs: number): Worker {
  const workerData = {
    path,
    program: print(longProgram(calls)),
    weight: longWeight(),
    width: longWidth,
    x: longInput(seed),
    outputLength: longRows * longWidth,
    runs,
  };
  return new Worker(workerSource, { eval: true, workerData });
}

/** What the worker posts after `ready`, and how it ended. */
async function outcomeOf(worker: Worker): Promise<{ readonly y: unknown; readonly exitCode: number }> {
  let y: unknown;
  worker.on('message', (message: unknown) => {
    if (message !== 'ready') y = message;
  });
  const exitCode = await new Promise<number>((resolve, reject) => {
    worker.on('exit', resolve);
    worker.on('error', reject);
  });
  return { y, exitCode };
}

async function expectedOf(seed: number, calls: number): Promise<unknown> {
  const session = new CpuBackend().openSession({ threads: 1 });
  const source = { kind: 'data', dtype: 'f32', data: longWeight() } as const;
  await session.loadWeight({
    name: 'w',
    shape: [longWidth, longWidth],
    dtype: 'f32',
    layout: 'linear',
    source,
  });
  const { y } = await session.compile(longProgram(calls)).run({ x: longInput(seed) });
  await session.dispose();
  return y;
}

describe('the addon in worker threads', () => {
  it('runs in four at once, each with a session of its own', { timeout: 60_000 }, async () => {
    const seeds = [1, 2, 3, 4];
    const outcomes = await Promise.all(seeds.map((seed) => outcomeOf(startWorker(seed, 5, 20))));
    for (const [index, seed] of seeds.entries()) {
      expect(outcomes[index]).toEqual({ y: await expectedOf(seed, 5), exitCode: 0 });
    }
  });

  it('a worker that is terminated in the middle of a run harms nobody', { timeout: 60_000 }, async () => {
    for (const afterMs of [0, 5, 40]) {
      const worker = startWorker(1, 200, 1000);
      await new Promise<void>((resolve) => worker.once('message', () => setTimeout(resolve, afterMs)));
      expect(await worker.terminate()).toBe(1);
      const { y } = await outcomeOf(startWorker(2, 3, 1));
      expect(y).toEqual(await expectedOf(2, 3));
    }
  });

  it('a session of this thread works on while workers come and go', { timeout: 60_000 }, async () => {
    const expected = await expectedOf(7, 5);
    const workers = Promise.all([1, 2, 3].map((seed) => outcomeOf(startWorker(seed, 5, 10))));
    for (let turn = 0; turn < 10; turn++) expect(await expectedOf(7, 5)).toEqual(expected);
    expect((await workers).map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
  });
});
