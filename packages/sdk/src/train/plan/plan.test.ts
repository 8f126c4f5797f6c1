import { ReferenceBackend } from '@emu/program';
import { describe, expect, it } from 'vitest';

import { smallRecipe, smallTask } from '../../testing/small-training-task.js';
import type { Recipe } from '../recipe/schema.js';
import { parseHardware, thisMachine } from './hardware.js';
import { planText, planTraining, requireFit } from './plan.js';

const task = smallTask({ batchSize: 8, seed: 3 });

describe('parseHardware', () => {
  it('takes units, exponents and what is usual', () => {
    expect(parseHardware('gpus=128,flops=312e12,memory=80GiB')).toEqual({
      gpus: 128,
      flops: 312e12,
      memory: 80 * 2 ** 30,
      efficiency: 0.4,
      sharding: 'optimizer',
      measured: false,
    });
    expect(parseHardware('flops=1e12, memory=24GB, disk=2TiB, efficiency=0.5')).toMatchObject({
      gpus: 1,
      memory: 24e9,
      disk: 2 ** 41,
      sharding: 'none',
    });
  });

  it.each([
    ['gpu=2,flops=1,memory=1', '[hardware] gpu "2" is not one of gpus, flops', 'Did you mean gpus?'],
    ['flops=fast,memory=1GB', '[hardware] flops "fast" is not a number such as 312e12', 'Write it as'],
    ['flops=1e12,memory=80', '', ''],
    ['flops=1e12,memory=80Gigs', '[hardware] memory "80Gigs" is not an amount such as 80GiB', 'Write it as'],
    ['flops=1e12', '[hardware] memory "" is not an amount', 'Write it as'],
    ['gpus=1.5,flops=1e12,memory=1GB', '[hardware] gpus "1.5" is not a whole number', ''],
    ['flops=1,memory=1GB,sharding=optimiser', '[hardware] sharding "optimiser" is not one of', 'optimizer'],
    ['flops=1,memory=1GB,efficiency=2', '[hardware] efficiency "2" is not a number of at most 1', ''],
  ])('%s', (text, message, hint) => {
    if (message === '') {
      expect(parseHardware(text).memory).toBe(80);
      return;
    }
    expect(() => parseHardware(text)).toThrow(message);
    expect(() => parseHardware(text)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining(hint) as string }),
    );
  });
});

describe('planTraining', () => {
  const hardware = parseHardware('flops=1e9,memory=1MiB,efficiency=0.5');

  it('counts the bytes and operations of a run', () => {
    const plan = planTraining(
      task,
      smallRecipe('out', { ema_decay: 0.9, gradient_accumulation_steps: 2 }),
      hardware,
    );
    // 24x8 + 24 + 48 + 2 x 4x24 parameters.
    expect(plan.parameters).toEqual({ trained: 456, frozen: 64 });
    expect(plan.memory).toMatchObject({
      weights: 1824,
      gradients: 1824,
      moments: 3648,
      average: 1824,
      frozen: 256,
    });
    expect(plan.memory.activations).toBeGreaterThan(8 * 24 * 4);
    expect(plan.memory.copies).toBe(0);
    // Per micro-batch 2 x 8 rows x weights: 64 + 192 + 2 x 96 forward, then gradients of 192 + 192 weights and of the
    // input of the heads, 192; the means and their gradients are next to nothing.
    const products = 2 * 8 * (448 + 192 + 192 + 192);
    expect(plan.time.flopsPerStep).toBeGreaterThanOrEqual(2 * products);
    expect(plan.time.flopsPerStep).toBeLessThan(2 * products * 1.02);
    expect(plan.time.seconds).toBeCloseTo((20 * plan.time.flopsPerStep) / 0.5e9, 9);
    expect(plan.disk).toEqual({
      checkpoint: 4 * 1824,
      checkpoints: 3,
      model: 4 * 520,
      total: 3 * 4 * 1824 + 4 * 520,
    });
    expect(plan.fits).toBe(true);
    expect(planText(plan)).toMatch(/^task +small: 0\.000 M trained/);
  });

  it('spreads the optimizer, or everything, over devices', () => {
    const recipe = smallRecipe('out', { bf16: true });
    const bf16 = smallTask({ batchSize: 8, seed: 3, matrices: 'bf16' });
    const planOf = (sharding: string) =>
      planTraining(bf16, recipe, parseHardware(`gpus=4,flops=1e12,memory=1GiB,sharding=${sharding}`)).memory;
    expect(planOf('none')).toMatchObject({ weights: 1824, gradients: 1824, moments: 3648 });
    expect(planOf('optimizer')).toMatchObject({
      weights: 912 + 456,
      gradients: 912,
      moments: 912,
      copies: 0,
    });
    expect(planOf('full')).toMatchObject({ weights: 228 + 456, gradients: 228, moments: 912 });
  });

  it('calls rows of packed samples so', () => {
    const recipe = smallRecipe('out', { per_device_train_batch_size: 2, gradient_accumulation_steps: 3 });
    const four = parseHardware('gpus=4,flops=1e9,memory=1MiB');
    const samples = planTraining(task, recipe, four);
    expect(samples.time).toMatchObject({ samplesPerStep: 24 });
    expect(planText(samples)).toContain('20 steps of 24 samples, ');
    const rows = planTraining({ ...task, batchUnit: 'rows' }, recipe, four);
    expect(rows.time).toMatchObject({ rowsPerStep: 24 });
    expect(rows.time.samplesPerStep).toBeUndefined();
    expect(planText(rows)).toContain('20 steps of 24 rows of packed samples, ');
  });

  it('counts no more checkpoints than a run writes', () => {
    const disk = (changes: Partial<Recipe>) => planTraining(task, smallRecipe('out', changes), hardware).disk;
    expect(disk({ save_steps: 0 }).checkpoints).toBe(1);
    expect(disk({ save_steps: 500 }).checkpoints).toBe(1);
    expect(disk({ save_steps: 10 }).checkpoints).toBe(2);
    expect(disk({ save_steps: 1 }).checkpoints).toBe(3);
  });

  it('counts a model that makes the batches', () => {
    const recipe = smallRecipe('out', { gradient_accumulation_steps: 2 });
    const alone = planTraining(task, recipe, hardware);
    const companion = { bytes: 5000, flopsPerBatch: 1e6 };
    const both = planTraining({ ...task, companion }, recipe, hardware);
    expect(both.memory.total - alone.memory.total).toBe(5000);
    expect(both.time.flopsPerStep - alone.time.flopsPerStep).toBe(2e6);
    expect(planText(both)).toMatch(/memory .*companion 0\.0000047/);
  });

  it('is refused with what is missing and what to do', () => {
    const recipe = smallRecipe('out');
    const tight = planTraining(task, recipe, parseHardware('gpus=2,flops=1e9,memory=4KiB'));
    expect(tight.fits).toBe(false);
    expect(() => {
      requireFit(tight, recipe);
    }).toThrow(/^\[train\] small needs .* GiB: weights .*; a device has 0\.0000038 GiB$/);
    const disk = planTraining(task, recipe, parseHardware('flops=1e9,memory=1MiB,disk=4KiB'));
    expect(() => {
      requireFit(disk, recipe);
    }).toThrow('[train] 3 checkpoints and the model need 0.000017 GiB of disk; there are 0.0000038 GiB');
  });
});

it('measures this machine', async () => {
  // A small product on plain loops would take long: the reference backend needs 0.5 s for this one.
  const machine = await thisMachine(new ReferenceBackend(), { bf16: false, disk: 5e9 });
  expect(machine).toMatchObject({ gpus: 1, sharding: 'none', measured: true, disk: 5e9 });
  expect(machine.flops).toBeGreaterThan(1e6);
  expect(machine.memory).toBeGreaterThan(2 ** 28);
});
