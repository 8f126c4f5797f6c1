import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { EmuError, errorTable } from './errors.js';

describe('the error table', () => {
  it('is what docs/errors.md shows', () => {
    const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| ([A-Z_]+) \| .+ \| ([A-Z_]+) \| (\d+) \|$/gm)].map(
      ([, code, status, exit]) => [code, { status, exit: Number(exit) }],
    );
    expect(Object.fromEntries(rows)).toEqual(errorTable);
  });

  it('recognises errors of another copy of the package, and keeps the cause of foreign ones', () => {
    const error = new EmuError('INVALID_OPTION', '[x] bad', { hint: 'Fix it.', details: { x: 1 } });
    expect(EmuError.isInstance(error)).toBe(true);
    expect(EmuError.isInstance(new Error('no'))).toBe(false);
    expect([error.status, error.exitStatus]).toEqual(['INVALID_ARGUMENT', 2]);
    const foreign = new Error('disk');
    expect(EmuError.from(foreign)).toMatchObject({ code: 'INTERNAL', message: 'disk', cause: foreign });
    expect(EmuError.from(error)).toBe(error);
  });
});
