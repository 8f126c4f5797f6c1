import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmuError } from '@emu/program';
import { afterAll, describe, expect, it } from 'vitest';

import { addonCandidates, firstThatLoads, loadAddon } from './addon.js';

const folder = mkdtempSync(join(tmpdir(), 'emu-addon-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function failureOf(candidates: readonly string[]): EmuError {
  try {
    firstThatLoads(candidates);
  } catch (error) {
    if (EmuError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('it loaded');
}

describe('loading the addon', () => {
  it('tries the prebuilt package of this platform first, then the build of this package', () => {
    const [prebuilt, built] = addonCandidates();
    expect(prebuilt).toBe(`@emu/native-${process.platform}-${process.arch}`);
    expect(built).toMatch(/packages\/native\/build\/Release\/emu_native\.node$/);
  });

  it('passes over candidates that do not load', () => {
    expect(firstThatLoads(['@emu/native-none', ...addonCandidates()])).toBe(loadAddon());
  });

  it('says what was tried, why each failed, and what to do', () => {
    const broken = join(folder, 'broken.node');
    writeFileSync(broken, 'not a library');
    const missing = join(folder, 'missing.node');
    const error = failureOf(['@emu/native-none', missing, broken]);
    expect(error.code).toBe('NATIVE_UNAVAILABLE');
    expect(error.exitStatus).toBe(4);
    const place = `[native] the C++ backend for ${process.platform}-${process.arch} did not load: `;
    expect(error.message.startsWith(place)).toBe(true);
    const [first = '', second = '', third = ''] = error.message.slice(place.length).split('; ');
    expect(first).toBe("@emu/native-none: Cannot find module '@emu/native-none'");
    expect(second).toBe(`${missing}: Cannot find module '${missing}'`);
    expect(third.startsWith(`${broken}: ${broken}: `)).toBe(true); // the loader's words, "file too short" say
    expect(error.message).not.toContain('\n');
    expect(error.hint).toBe(
      'Build it with `npm run build:native -w @emu/native` (needs CMake 3.21+ and a C++20 compiler, GCC 11+ or ' +
        'Clang 14+), or pass `device: "reference"` to run without it, slowly.',
    );
    expect(error.details).toEqual({
      platform: process.platform,
      arch: process.arch,
      failures: [first, second, third],
    });
  });
});
