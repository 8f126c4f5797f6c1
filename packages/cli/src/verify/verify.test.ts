import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openTensorFile, readTensor } from '@emu/sdk/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { commandResult } from '../testing/command-result.js';
import { stages } from './verify.js';

const reference =
  process.env['EMU_REFERENCE'] ?? join(import.meta.dirname, '../../../../../shared/reference');
const exists = existsSync(reference);
if (!exists)
  console.warn(`reference data is not beside the checkout (${reference}); emu verify is not tested on it`);

describe.skipIf(!exists)('emu verify on the reference data', () => {
  let dump = '';
  beforeAll(async () => {
    dump = await mkdtemp(join(tmpdir(), 'emu-verify-'));
  });
  afterAll(async () => {
    await rm(dump, { recursive: true, force: true });
  });

  const verify = (...args: string[]) =>
    commandResult([
      'verify',
      '--model',
      join(reference, 'checkpoint'),
      '--goldens',
      join(reference, 'goldens'),
      ...args,
    ]);

  it.each(stages.map(({ name }) => name))(
    '%s agrees with the authors',
    { timeout: 300_000 },
    async (stage) => {
      const { status, stdout } = await verify('--stages', stage);
      expect(stdout.split('\n').filter((line) => line.startsWith('DIFF'))).toEqual([]);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^[1-9]\d* agree, 0 differ$/m);
    },
  );

  it('dumps our tensors under the golden names and reports as JSON', async () => {
    const { stdout } = await verify('--stages', 'vae', '--dump', dump, '--json');
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.at(-1)).toEqual({ type: 'summary', passed: 4, failed: 0 });
    const ours = await openTensorFile(join(dump, 'vae.safetensors'));
    const golden = await openTensorFile(join(reference, 'goldens', 'vae.safetensors'));
    expect([...ours.entries.keys()].sort()).toEqual([
      'decode.sample',
      'encode.mean',
      'encode.moments',
      'encode.std',
    ]);
    for (const [name, entry] of ours.entries) {
      expect((await readTensor(entry)).shape).toEqual(golden.entries.get(name)?.shape);
    }
  });

  it('holds bf16 weights to their own, wider bound', { timeout: 120_000 }, async () => {
    const { status, stdout } = await verify('--stages', 'instruct', '--dtype', 'bf16');
    // bf16 has a bound of its own; f32's would refuse it.
    expect(status).toBe(0);
    const worst = stdout.split('\n').find((line) => line.includes('instruct.logits_last'));
    expect(Number(/l2 (\S+)/.exec(worst ?? '')?.[1])).toBeGreaterThan(1e-4);
  });

  it('names the stages when one is unknown', async () => {
    const { status, stderr } = await verify('--stages', 'vision,pictures');
    expect(status).toBe(2);
    expect(stderr).toContain('[verify] no stage is called "pictures"');
    expect(stderr).toContain('The stages are tokenizer, preprocess, vision');
  });
});
