import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { SignalStop } from '../terminal.js';
import { commandResult, jsonLines } from '../testing/command-result.js';
import { makeSmallModel } from '../testing/small-model.js';

let folder = '';
let model = '';
let damaged = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-cli-'));
  model = join(folder, 'models', 'small');
  damaged = join(folder, 'models', 'damaged');
  await makeSmallModel(model);
  await cp(model, damaged, { recursive: true });
  const weights = await readFile(join(model, 'model.safetensors'));
  await writeFile(join(damaged, 'model.safetensors'), weights.subarray(0, weights.length - 10));
  await mkdir(join(folder, 'models', 'empty'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('emu model inspect', () => {
  it('shows what a folder holds, one component per line', async () => {
    const { status, stdout, stderr } = await commandResult(['model', 'inspect', model, '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const [head, ...components] = jsonLines(stdout);
    expect(head).toMatchObject({ path: model, layout: 'converted', assumed: [] });
    expect(head?.['config']).toMatchObject({ llama: { layers: 2, width: 48 } });
    expect(components.map(({ component }) => component)).toEqual(['multimodal', 'unet', 'vae']);
    for (const component of components) {
      expect(component).toEqual({
        component: expect.any(String) as string,
        path: expect.stringContaining(model) as string,
        tensors: expect.any(Number) as number,
        parameters: expect.any(Number) as number,
        dtypes: ['f32'],
      });
    }
    const tensors = await commandResult(['model', 'inspect', model, '--json', '--tensors']);
    const listed = jsonLines(tensors.stdout).filter(({ tensor }) => tensor !== undefined);
    expect(listed).toHaveLength(components.reduce((sum, { tensors }) => sum + Number(tensors), 0));
    expect(listed[0]).toMatchObject({ component: 'multimodal', dtype: 'f32' });
    expect((await commandResult(['model', 'inspect', model])).stdout).toContain(
      'language       2 layers of 48',
    );
  });

  it.each([
    ['none', 'MODEL_NOT_FOUND'],
    ['models/empty', 'MODEL_NOT_FOUND'],
    ['models/damaged', 'CHECKPOINT_CORRUPT'],
  ])('%s ends with 3', async (name, code) => {
    for (const args of [
      ['model', 'inspect', join(folder, name)],
      ['model', 'verify', join(folder, name)],
      ['model', 'convert', join(folder, name), join(folder, 'never')],
      ['generate', 'a', '--model', join(folder, name)],
      ['bench', '--model', join(folder, name)],
    ]) {
      const { status, stdout, stderr } = await commandResult(args);
      expect(stderr, args.join(' ')).toMatch(new RegExp(`^emu: ${code}: \\[`));
      expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    }
    expect(existsSync(join(folder, 'never', 'config.json'))).toBe(false);
  });
});

describe('emu model ls', () => {
  it('lists models and damaged ones, and passes over other folders', async () => {
    const { status, stdout } = await commandResult(['model', 'ls', join(folder, 'models'), '--json']);
    expect(status).toBe(0);
    expect(jsonLines(stdout)).toEqual([
      { path: damaged, error: expect.stringContaining('model.safetensors') as string },
      { path: model, layout: 'converted', languageLayers: 2, languageWidth: 48, paints: true, chats: false },
    ]);
    const none = await commandResult(['model', 'ls', join(folder, 'models', 'empty')]);
    expect(none).toMatchObject({ status: 0, stdout: '' });
    expect(none.stderr).toMatch(/^no models in /);
    expect((await commandResult(['model', 'ls', join(folder, 'none')])).status).toBe(3);
  });
});

describe('emu model convert', () => {
  it('writes bf16, keeps what is there when repeated, and the result verifies', async () => {
    const to = join(folder, 'bf16');
    const first = await commandResult(['model', 'convert', model, to, '--json']);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const [written] = jsonLines(first.stdout);
    expect(written).toEqual({
      to,
      files: expect.arrayContaining(['config.json', 'model.safetensors']) as string[],
      kept: [],
      bytes: expect.any(Number) as number,
    });
    const again = await commandResult(['model', 'convert', model, to, '--json']);
    expect(jsonLines(again.stdout)[0]?.['kept']).not.toEqual([]);
    expect(again.stderr).toMatch(/^kept \d+ files that an earlier run had finished\n$/);
    const verified = await commandResult(['model', 'verify', to, '--json']);
    expect(verified).toMatchObject({ status: 0, stderr: '' });
    expect(jsonLines(verified.stdout).map(({ component, ok }) => [component, ok])).toEqual([
      ['multimodal', true],
      ['unet', true],
      ['vae', true],
    ]);
    const generated = await commandResult(['generate', 'a', '--model', to, '--max-new-tokens', '2']);
    expect(generated).toMatchObject({ status: 0, stderr: '' });
  });

  it('refuses a folder onto itself and a dtype that is none with 2', async () => {
    expect((await commandResult(['model', 'convert', model, model])).status).toBe(2);
    expect(
      (await commandResult(['model', 'convert', model, join(folder, 'x'), '--dtype', 'f8'])).status,
    ).toBe(2);
    expect(
      (await commandResult(['model', 'convert', model, join(folder, 'x'), '--max-shard-bytes', '0'])).status,
    ).toBe(2);
  });

  it('ends with 130 when a signal stops it', async () => {
    const to = join(folder, 'stopped');
    const signal = AbortSignal.abort(new SignalStop('SIGINT'));
    expect((await commandResult(['model', 'convert', model, to], { signal })).status).toBe(130);
    expect(existsSync(join(to, 'config.json'))).toBe(false);
  });
});

describe('emu model verify', () => {
  it('names what is missing, unexpected and mis-shaped, and ends with 3', async () => {
    const other = join(folder, 'other');
    await cp(model, other, { recursive: true });
    const config = JSON.parse(await readFile(join(other, 'config.json'), 'utf8')) as {
      emu: { llama: { layers: number } };
    };
    config.emu.llama.layers = 1;
    await writeFile(join(other, 'config.json'), JSON.stringify(config));
    const { status, stdout } = await commandResult(['model', 'verify', other]);
    expect(status).toBe(3);
    expect(stdout).toMatch(/^BAD {2}multimodal: 0 missing, [1-9]\d* unexpected, 0 mis-shaped$/m);
    expect(stdout).toMatch(/^ {2}unexpected .*layers\.1\./m);
    expect(stdout).toMatch(/^ok {3}unet: /m);
  });
});

describe('emu doctor', () => {
  it('checks the machine and the model, one finding per line', async () => {
    const { status, stdout, stderr } = await commandResult(['doctor', '--model', model, '--json']);
    expect(stderr).toBe('');
    const findings = jsonLines(stdout);
    expect(findings.map(({ check }) => check)).toEqual([
      'runtime',
      'binary',
      'memory',
      'gpu',
      'ffmpeg',
      'model',
    ]);
    for (const finding of findings) {
      expect(Object.keys(finding)).toEqual(['check', 'verdict', 'reason', 'fix']);
      expect(['ok', 'warning', 'failure']).toContain(finding['verdict']);
      expect(finding['verdict'] === 'ok').toBe(finding['fix'] === '');
    }
    expect(status).toBe(0);
  });

  it('ends with 3 when only the model is bad', async () => {
    const environment = { EMU_MODEL: damaged };
    const { status, stdout } = await commandResult(['doctor'], { environment });
    expect(stdout).toMatch(/^failure {2}model /m);
    expect(status).toBe(3);
  });
});

describe('emu bench', () => {
  it('measures prompt, decoding and pictures', async () => {
    const args = ['bench', '--model', model, '--tokens', '4', '--steps', '1', '--json'];
    const { status, stdout, stderr } = await commandResult(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(jsonLines(stdout)).toEqual([
      { name: 'prompt', value: expect.any(Number) as number, unit: 'tokens/s' },
      { name: 'decoding', value: expect.any(Number) as number, unit: 'tokens/s' },
      { name: 'picture (1 steps)', value: expect.any(Number) as number, unit: 's' },
    ]);
  });
});

const reference =
  process.env['EMU_REFERENCE'] ?? join(import.meta.dirname, '../../../../../shared/reference');
const exists = existsSync(reference);
if (!exists)
  console.warn(`reference data is not beside the checkout (${reference}); torch files are not verified`);

describe.skipIf(!exists)('emu model verify of torch files', () => {
  it('compares every checksum', async () => {
    const { status, stdout } = await commandResult([
      'model',
      'verify',
      join(reference, 'checkpoint'),
      '--json',
    ]);
    expect(status).toBe(0);
    const checksums = jsonLines(stdout).filter(({ checked }) => checked !== undefined);
    expect(checksums.map(({ component }) => component)).toEqual([
      'multimodal',
      'unet',
      'vae',
      'safetyChecker',
    ]);
    for (const { checked, unchecked } of checksums) {
      expect(checked).toBeGreaterThan(1);
      expect(unchecked).toBe(0);
    }
  });

  it('finds one flipped bit in a file, unless told not to read it', async () => {
    const copy = join(folder, 'flipped');
    await cp(join(reference, 'checkpoint'), copy, { recursive: true });
    const path = join(copy, 'unet', 'diffusion_pytorch_model.bin');
    const bytes = await readFile(path);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    await rm(path, { force: true });
    await writeFile(path, bytes);
    const { status, stderr } = await commandResult(['model', 'verify', copy]);
    expect(status).toBe(3);
    expect(stderr).toMatch(
      /CHECKPOINT_CORRUPT: .*: 1 of \d+ members do not have the checksum written for them/,
    );
    expect((await commandResult(['model', 'verify', copy, '--no-checksums'])).status).toBe(0);
  });
});
