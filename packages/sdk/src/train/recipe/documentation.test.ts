import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, it } from 'vitest';

import { adapterOptions, trainerOptions } from './schema.js';

it('has every key of the trainer and of adapters in docs/training.md, with its default', async () => {
  const page = await readFile(join(import.meta.dirname, '../../../../../docs/training.md'), 'utf8');
  const defaults = trainerOptions.parse({ stage: 'any', output_dir: 'any', max_steps: 1 });
  for (const key of Object.keys(trainerOptions.shape)) {
    const row = page
      .split('\n')
      .find((line) => line.startsWith('| ') && line.split('|')[1]?.includes(`\`${key}\``));
    expect(row, key).toBeDefined();
    const value = defaults[key as keyof typeof defaults];
    if (value === 'any' || key === 'max_steps' || typeof value === 'object') continue;
    const written = row?.split('|')[2]?.trim().split(', ') ?? [];
    expect(
      written.map((each) => (Number.isNaN(Number(each)) ? each : Number(each))),
      key,
    ).toContain(typeof value === 'boolean' ? String(value) : value);
  }
  for (const key of Object.keys(adapterOptions.shape)) expect(page).toContain(`\`${key}\``);
});
