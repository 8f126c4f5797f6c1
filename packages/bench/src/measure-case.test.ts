import { linear, ReferenceBackend, trace } from '@emu/program';
import { afterEach, expect, test, vi } from 'vitest';

import type { BenchCase } from './bench-case.js';
import { describeLine, measureCase } from './measure-case.js';
import { startPeer } from './peers.js';

const keys = ['name', 'ours', 'unit', 'peer', 'peer_value', 'ratio', 'floor_fraction'];
const floor = { f32GigaflopsPerSecond: 100, bf16GigaflopsPerSecond: 200, gigabytesPerSecond: 10 };

// Speaks the line protocol as the peers do: half a second for a linear, nothing for what it does not know, and one
// failure.
const peerScript = `
console.log(JSON.stringify({ version: '1.5' }));
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { kind } = JSON.parse(line);
  const answers = { linear: { seconds: 0.5 }, broken: { error: 'out of memory' } };
  console.log(JSON.stringify(answers[kind] ?? {}));
});`;

const tinyCase: BenchCase = {
  name: 'tiny',
  suite: 'kernels',
  program: () =>
    trace('tiny', (t) => {
      t.output('y', linear(t.input('x', [2, 3]), t.weight('w', [4, 3])));
    }),
  work: { kind: 'flops', amount: 48, dtype: 'f32' },
  peer: { kind: 'linear', dtype: 'f32', sizes: { rows: 2, inputs: 3, outputs: 4 } },
};

afterEach(() => vi.restoreAllMocks());

async function linesWithPeer(benchCase: BenchCase) {
  const peer = await startPeer('Slow', process.execPath, ['-e', peerScript]);
  if (peer === undefined) throw new Error('the peer did not start');
  try {
    return await measureCase(benchCase, new ReferenceBackend(), [peer], floor);
  } finally {
    peer.close();
  }
}

test('a JSON line has exactly the promised keys; without a peer its figures are null', async () => {
  const [line, ...more] = await measureCase(tinyCase, new ReferenceBackend(), [], floor);
  expect(more).toEqual([]);
  expect(Object.keys(JSON.parse(JSON.stringify(line)) as object)).toEqual(keys);
  expect(line).toMatchObject({ name: 'tiny', unit: 'GFLOP/s', peer: null, peer_value: null, ratio: null });
  expect(line?.floor_fraction).toBeCloseTo((line?.ours ?? 0) / floor.f32GigaflopsPerSecond, 12);
});

test('beside a peer the ratio is ours over its value, and the version stands in its name', async () => {
  const [line] = await linesWithPeer(tinyCase);
  if (line === undefined) throw new Error('no line');
  expect(Object.keys(line)).toEqual(keys);
  expect(line.peer).toBe('Slow 1.5');
  expect(line.peer_value).toBeCloseTo(48 / 0.5 / 1e9, 15);
  expect((line.ratio ?? 0) / (line.ours / (line.peer_value ?? 0))).toBeCloseTo(1, 9);
  expect(describeLine(line)).toMatch(/^tiny .* GFLOP\/s {2}\d+ % of the floor; Slow 1\.5 0\.0, ratio \d/);
});

test('a peer that does not do the work gives no line of its own', async () => {
  const peer = { kind: 'unknown', dtype: 'f32', sizes: {} } as const;
  expect(await linesWithPeer({ ...tinyCase, peer })).toMatchObject([{ peer: null, ratio: null }]);
});

test('a peer that fails is said, and the case goes on without it', async () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const peer = { kind: 'broken', dtype: 'f32', sizes: {} } as const;
  expect(await linesWithPeer({ ...tinyCase, peer })).toMatchObject([{ peer: null }]);
  expect(said).toHaveBeenCalledWith('peer Slow 1.5 failed at broken f32: out of memory\n');
});

test('a call is told in microseconds, beside its target', async () => {
  const work = { kind: 'call', runs: 5, targetMicroseconds: 20 } as const;
  const [line] = await measureCase(
    { name: 'call', suite: 'kernels', program: tinyCase.program, work },
    new ReferenceBackend(),
    [],
    floor,
  );
  if (line === undefined) throw new Error('no line');
  expect(line).toMatchObject({ unit: 'us', peer: null });
  expect(line.floor_fraction * line.ours).toBeCloseTo(20, 9);
  expect(describeLine(line)).toMatch(/ us {2}target over ours \d+\.\d+; no peer$/);
});
