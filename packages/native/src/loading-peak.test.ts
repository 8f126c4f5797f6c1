import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, closeSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { addonCandidates } from './addon.js';

const mebibyte = 2 ** 20;
const shape = [8192, 5120] as const;
const matrixBytes = shape[0] * shape[1] * 4;
const matrices = 2;
// Larger than the allowance: pages of the file must be let go while it is converted.
const tableShape = [81_920, 1024] as const;
const tableBytes = tableShape[0] * tableShape[1] * 4;
// As in a safetensors file, the values follow a header of any length.
const headerBytes = 1352;
const fileBytes = headerBytes + matrices * matrixBytes + tableBytes;
const allowance = 256 * mebibyte;

const free = statfsSync(tmpdir());
const hasDisk = free.bavail * free.bsize > fileBytes * 1.2;
const hasPeak = existsSync('/proc/self/clear_refs');
if (!hasDisk)
  console.warn(`${tmpdir()} has no room for ${fileBytes} bytes; the peak of loading is not measured`);
if (!hasPeak)
  console.warn('this system does not tell the peak of memory; the peak of loading is not measured');

// A process of its own: the peak of this one would be that of all tests before.
const loader = `
const { readFileSync, writeFileSync } = require('node:fs');
const { path, addonPath, dtype, shape, matrices, headerBytes, matrixBytes, tableShape } = JSON.parse(process.argv[1]);
const addon = require(addonPath);
const settled = (start) => new Promise((resolve, reject) => {
  start((code, message, result) => (code === null ? resolve(result) : reject(new Error(code + ': ' + message))));
});
const status = (key) => 1024 * Number(new RegExp(key + ':\\\\s+(\\\\d+)').exec(readFileSync('/proc/self/status', 'utf8'))[1]);
(async () => {
  const session = addon.openSession(2, '');
  if (global.gc) global.gc();
  const before = status('VmRSS');
  writeFileSync('/proc/self/clear_refs', '5'); // VmHWM starts again from here
  const load = (name, size, layout, offset, wanted) => settled((callback) =>
    addon.loadWeight(session, { name, shape: size, dtype: wanted, layout, storedDtype: 1, path, byteOffset: offset }, callback));
  for (let i = 0; i < matrices; i++) {
    await load('w' + i, shape, 1, headerBytes + i * matrixBytes, dtype);
  }
  await load('table', tableShape, 0, headerBytes + matrices * matrixBytes, dtype);
  const peak = status('VmHWM') - before;
  console.log(JSON.stringify({ peak, after: status('VmRSS') - before, held: addon.memoryBytes(session) }));
})();
`;

describe.skipIf(!hasDisk || !hasPeak)('loading 671 MB of f32', () => {
  let folder = '';
  let path = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'emu-peak-'));
    path = join(folder, 'weights');
    const file = openSync(path, 'w');
    const piece = new Float32Array(mebibyte).map((_, index) => Math.sin(index));
    writeSync(file, new Uint8Array(headerBytes));
    for (let written = headerBytes; written < fileBytes;) {
      written += writeSync(
        file,
        new Uint8Array(piece.buffer, 0, Math.min(piece.byteLength, fileBytes - written)),
      );
    }
    closeSync(file);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it.each([
    ['f32', 1, 4],
    ['bf16', 3, 2],
  ] as const)(
    'as %s peaks at the size of the model and 256 MiB',
    { timeout: 120_000 },
    (name, dtype, bytes) => {
      const options = {
        path,
        addonPath: addonCandidates().at(-1),
        dtype,
        shape,
        matrices,
        headerBytes,
        matrixBytes,
        tableShape,
      };
      const child = spawnSync(process.execPath, ['--expose-gc', '-e', loader, JSON.stringify(options)], {
        encoding: 'utf8',
      });
      expect(child.stderr).toBe('');
      const { peak, after, held } = JSON.parse(child.stdout) as { peak: number; after: number; held: number };
      const model = (matrices * shape[0] * shape[1] + tableShape[0] * tableShape[1]) * bytes;
      const inMebibytes = (value: number): string => (value / mebibyte).toFixed(0);
      console.log(
        `${name}: model ${inMebibytes(model)} MiB, held ${inMebibytes(held)}, resident after ${inMebibytes(after)}, ` +
          `peak ${inMebibytes(peak)}`,
      );
      expect(peak).toBeGreaterThan(matrices * shape[0] * shape[1] * bytes); // what is measured is the loading
      expect(peak).toBeLessThanOrEqual(model + allowance);
      expect(after).toBeLessThanOrEqual(model + 32 * mebibyte); // nothing of the file stays mapped in
    },
  );
});
