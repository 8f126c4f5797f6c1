import { CpuBackend } from '@emu/native';
import { linear, multiply, sumTo, trace } from '@emu/program';
import { programParameters } from '@emu/sdk/train';
import { afterEach, describe, expect, test, vi } from 'vitest';

import { describeTrainingLine, measureTraining } from './measure-training.js';
import { startPeer, type Peer } from './peers.js';
import { trainingCases, type TrainingCase } from './training-cases.js';
import { prepareStep } from './training-step.js';

const cases = await trainingCases();
const floor = { f32GigaflopsPerSecond: 100, bf16GigaflopsPerSecond: 200, gigabytesPerSecond: 10 };

/** Mean of the squares of two products. */
const tinyCase: TrainingCase = {
  name: 'tiny',
  dtype: 'f32',
  recompute: false,
  program: trace('tiny', (t) => {
    const y = linear(t.input('x', [2, 3]), t.weight('w', [4, 3]));
    t.output('loss', sumTo(multiply(y, y), [1]));
  }),
  inputs: () => ({ x: Float32Array.of(1, 2, 3, 4, 5, 6) }),
  amount: { count: 10, unit: 'tokens/s' },
  peer: { kind: 'tiny', dtype: 'f32', sizes: {} },
};

afterEach(() => vi.restoreAllMocks());

/** A side that answers with each of `answers` in turn. */
async function side(name: string, answers: readonly object[]): Promise<Peer> {
  const script = `
console.log(JSON.stringify({ version: '1' }));
const answers = ${JSON.stringify(answers)};
require('node:readline').createInterface({ input: process.stdin }).on('line', () => {
  console.log(JSON.stringify(answers.shift()));
});`;
  const peer = await startPeer(name, process.execPath, ['-e', script]);
  if (peer === undefined) throw new Error('the side did not start');
  return peer;
}

const turns = (...seconds: number[]): object[] =>
  seconds.map((each) => ({ seconds: each, processorSeconds: 2 * each, bytes: 1000 * seconds.length }));

describe('cases', () => {
  test('LLaMA at two sizes, the larger also recomputed, VAE and U-Net, each in f32 and bf16', () => {
    expect(cases.map(({ name }) => name).filter((name) => name.includes('f32'))).toEqual([
      'LLaMA step 17M f32 8x256',
      'LLaMA step 134M f32 2x512',
      'LLaMA step 134M f32 2x512 recomputed',
      'VAE step emu-tiny f32 16x64x64',
      'U-Net step emu-tiny f32 32x16x16',
    ]);
    expect(cases.filter(({ dtype }) => dtype === 'bf16')).toHaveLength(5);
    expect(cases.filter(({ recompute }) => recompute)).toHaveLength(2);
  });

  // What peers/torch_training.py counts in its models.
  test.each([
    ['LLaMA step 17M f32 8x256', 17_308_032],
    ['VAE step emu-tiny f32 16x64x64', 494_687],
    ['U-Net step emu-tiny f32 32x16x16', 1_928_836],
  ])('%s has as many parameters as its peer', (name, count) => {
    const program = cases.find((each) => each.name === name)?.program;
    if (program === undefined) throw new Error(`no case is called ${name}`);
    const sizes = programParameters([program]).map(({ shape }) => shape.reduce((all, each) => all * each, 1));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count);
  });
});

test('a step of the trainer lowers the loss', async () => {
  const prepared = await prepareStep(tinyCase, new CpuBackend(), 1);
  const losses: number[] = [];
  for (let step = 0; step < 20; step++) losses.push(await prepared.step());
  await prepared.dispose();
  expect(losses.every((loss, step) => step === 0 || loss < (losses[step - 1] ?? 0))).toBe(true);
});

test('the best turn of each side counts; ratios are the peer over ours, of memory ours over the peer', async () => {
  const sides = {
    ours: () => side('Emu', turns(2, 1)),
    torch: () => side('PyTorch', turns(3, 1.5, 9)),
  };
  const line = await measureTraining(tinyCase, sides, { rounds: 2, steps: 1 }, floor);
  expect(line).toMatchObject({
    ...{ name: 'tiny', ours: 10, unit: 'tokens/s', peer: 'PyTorch 1', ratio: 1.5 },
    ...{ processor_seconds: 2, processor_ratio: 1.5, peak_bytes: 2000 },
  });
  expect(line.peer_value).toBeCloseTo(10 / 1.5, 9);
  expect(line.peak_memory_ratio).toBeCloseTo(2 / 3, 9);
  // Forward product and the two of its gradient that are needed: that of the weight alone.
  expect(line.floor_fraction).toBeCloseTo((2 * 2 * 2 * 3 * 4) / 1e9 / floor.f32GigaflopsPerSecond, 12);
  expect(describeTrainingLine(line)).toMatch(
    /^tiny .* tokens\/s .*PyTorch 1 6\.7, ratio 1\.50, in processor time 1\.50, memory 0\.67$/,
  );
});

test('a peer that fails is said and the line goes without it; our own failure is an error', async () => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const failing = () => side('PyTorch', [{ error: 'out of memory' }]);
  const rounds = { rounds: 1, steps: 1 };
  const line = await measureTraining(
    tinyCase,
    { ours: () => side('Emu', turns(2)), torch: failing },
    rounds,
    floor,
  );
  expect(line).toMatchObject({ peer: null, ratio: null, processor_ratio: null, peak_memory_ratio: null });
  expect(said).toHaveBeenCalledWith('peer PyTorch 1 failed at tiny f32: out of memory\n');
  const lost = { ours: () => side('Emu', [{ error: 'no' }]), torch: () => Promise.resolve(undefined) };
  await expect(measureTraining(tinyCase, lost, rounds, floor)).rejects.toThrow('tiny failed on our side');
});
