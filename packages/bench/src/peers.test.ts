import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { startLlama, startPeer, startTorch } from './peers.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emu-bench-test-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

function stderrSpy() {
  return vi.spyOn(process.stderr, 'write').mockReturnValue(true);
}

test('a python that is not there: PyTorch is said to be missing, and no peer comes', async () => {
  const said = stderrSpy();
  vi.stubEnv('EMU_PYTHON', join(folder, 'python'));
  expect(await startTorch(1)).toBeUndefined();
  expect(said.mock.calls).toEqual([[expect.stringMatching(/^peer PyTorch is missing: spawn .*ENOENT\n$/)]]);
});

test('a folder without node-llama-cpp: said with the file that was looked for', async () => {
  const said = stderrSpy();
  vi.stubEnv('EMU_LLAMA', folder);
  expect(await startLlama(1)).toBeUndefined();
  const words = String(said.mock.calls[0]?.[0]);
  expect(words).toMatch(/^peer node-llama-cpp is missing: ENOENT/);
  expect(words).toContain(join(folder, 'node_modules', 'node-llama-cpp'));
});

test('a peer that ends before its first line: the last line of its stderr is the reason', async () => {
  const said = stderrSpy();
  const script = 'console.error("loading\\nNo module named torch"); process.exit(1)';
  expect(await startPeer('Lost', process.execPath, ['-e', script])).toBeUndefined();
  expect(said).toHaveBeenCalledWith('peer Lost is missing: No module named torch\n');
});

interface GgufWriter {
  readonly writeSyntheticGguf: (
    path: string,
    sizes: Readonly<Record<string, number>>,
    dtype: 'f32' | 'bf16',
  ) => void;
}

test.each([
  ['f32', 4],
  ['bf16', 2],
] as const)(
  'the model file for node-llama-cpp in %s holds every tensor of its layers',
  async (dtype, bytes) => {
    const address = new URL('../peers/synthetic_gguf.mjs', import.meta.url).href;
    const { writeSyntheticGguf } = (await import(address)) as GgufWriter;
    const lengthOf = (layers: number): number => {
      const path = join(folder, `${layers}.gguf`);
      const sizes = { layers, width: 64, heads: 2, feedForwardWidth: 96, contextLength: 8 };
      writeSyntheticGguf(path, sizes, dtype);
      const file = readFileSync(path);
      expect(file.toString('latin1', 0, 4)).toBe('GGUF');
      expect(file.readUInt32LE(4)).toBe(3);
      // Nine tensors in a layer; embedding, last norm and head beside them.
      expect(file.readBigUInt64LE(8)).toBe(BigInt(9 * layers + 3));
      return file.length;
    };
    const layerBytes = bytes * (4 * 64 * 64 + 3 * 64 * 96) + 4 * 2 * 64;
    const headerOfLayer = lengthOf(2) - lengthOf(1) - layerBytes;
    // Names, shapes and offsets of nine tensors, and padding.
    expect(headerOfLayer).toBeGreaterThan(9 * 40);
    expect(headerOfLayer).toBeLessThan(9 * 80);
  },
);
