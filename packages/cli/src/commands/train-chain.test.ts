import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = join(import.meta.dirname, '../../dist/main.js');
const built = existsSync(main);
if (!built) console.warn(`${main} is not built; the recipes of emu-tiny are not run one after the other`);
const recipes = join(import.meta.dirname, '../../../../recipes/tiny');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-chain-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('emu train recipes/tiny/*.yaml', () => {
  it(
    'makes a model from nothing: each recipe finds what the ones before it left',
    { timeout: 600_000 },
    async () => {
      const names = (await readdir(recipes)).filter((name) => name.endsWith('.yaml')).sort();
      const settings = ['max_steps=1', 'save_steps=0', 'sample_steps=0', 'eval_steps=0'];
      const args = [main, 'train', ...names.map((name) => join(recipes, name)), ...settings, '--json'];
      const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
      let [output, log] = ['', ''];
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
      const status = await new Promise((resolve) => child.once('close', resolve));
      expect(status, log.slice(-2000)).toBe(0);
      const ends = output.split('\n').filter((line) => line.includes('"finished"'));
      expect(ends).toHaveLength(names.length);
      const unet = join(folder, 'runs/tiny/new-names/model/unet/config.json');
      expect(await readFile(unet, 'utf8')).toContain('"cross_attention_dim"');
    },
  );
});
