// node-llama-cpp as a peer: reads a case per line as JSON, answers with the best seconds of one decoder layer.
//
// It is no dependency. Install it anywhere and name the folder that holds its node_modules in EMU_LLAMA; without
// EMU_LLAMA it is looked for as any module of this package.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { writeSyntheticGguf } from './synthetic_gguf.mjs';

const threads = Number(process.argv[2]);
const warmUps = 3;
const decodes = 24;
// A letter of the file's vocabulary; which one does not matter.
const someToken = 100;

/** Where the package's main module lies: under EMU_LLAMA, or where Node finds it. */
function locate() {
  const folder = process.env.EMU_LLAMA;
  if (folder === undefined) return import.meta.resolve('node-llama-cpp');
  const manifest = resolve(folder, 'node_modules', 'node-llama-cpp', 'package.json');
  const { exports, main } = JSON.parse(readFileSync(manifest, 'utf8'));
  const entry = exports?.['.']?.node?.import ?? exports?.['.']?.import ?? main;
  return pathToFileURL(join(dirname(manifest), entry)).href;
}

function versionOf(entry) {
  const folder = fileURLToPath(entry).replace(/(node_modules[\\/]node-llama-cpp)[\\/].*$/, '$1');
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version;
}

/** Seconds of one layer: of two minus of one, so that embedding, head, sampling and the binding do not count. */
async function decodeLayerSeconds(llama, { sizes, dtype }) {
  const one = await decodeSeconds(llama, sizes, dtype, 1);
  const two = await decodeSeconds(llama, sizes, dtype, 2);
  if (two <= one)
    throw new Error(`two layers took ${two} s and one ${one} s: the machine is too busy to tell`);
  return two - one;
}

async function decodeSeconds(llama, sizes, dtype, layers) {
  const folder = await mkdtemp(join(tmpdir(), 'emu-bench-'));
  const modelPath = join(folder, 'layers.gguf');
  const contextLength = sizes.context + warmUps + decodes + 1;
  try {
    writeSyntheticGguf(modelPath, { ...sizes, layers, contextLength }, dtype);
    // Copied, not mapped: huge pages then serve the weights as they serve ours.
    const model = await llama.loadModel({ modelPath, gpuLayers: 0, useMmap: false });
    try {
      return await bestDecode(model, sizes.context, contextLength);
    } finally {
      await model.dispose();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bestDecode(model, contextRows, contextSize) {
  // The cache stays in llama.cpp's own default, 16-bit floats; it is a sixtieth of what a step reads.
  const context = await model.createContext({ contextSize, threads: { ideal: threads, min: threads } });
  const sequence = context.getSequence();
  const rows = Array.from({ length: contextRows }, () => someToken);
  const generated = sequence.evaluate(rows, { temperature: 0, yieldEogToken: true });
  await generated.next();
  let best = Infinity;
  for (let run = 0; run < warmUps + decodes; run++) {
    const before = performance.now();
    await generated.next(someToken);
    if (run >= warmUps) best = Math.min(best, performance.now() - before);
  }
  await generated.return();
  await context.dispose();
  return best / 1000;
}

const isDecode = ({ kind, sizes }) => kind === 'decoder' && sizes.rows === 1;
const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function main() {
  const entry = locate();
  const { getLlama } = await import(entry);
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: threads,
    logLevel: 'error',
    logger: (_level, message) => process.stderr.write(`${message}\n`),
  });
  answer({ version: versionOf(entry) });
  for await (const line of createInterface({ input: process.stdin })) {
    const peerCase = JSON.parse(line);
    try {
      answer(isDecode(peerCase) ? { seconds: await decodeLayerSeconds(llama, peerCase) } : {});
    } catch (error) {
      answer({ error: String(error) });
    }
  }
  await llama.dispose();
}

// The other side shows the last line of stderr as the reason.
main().catch((error) => {
  process.stderr.write(`${String(error.message).split('\n')[0]}\n`);
  process.exitCode = 1;
});
