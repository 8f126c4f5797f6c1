// A server under a light load of requests that nearly all are cancelled, for minutes: does anything stay behind?
//
//   node tools/soak-server.mjs --model models/emu --seconds 600
//
// Starts `emu serve` in a process of its own, and prints one JSON line: how the memory of the server grew (least
// squares over the last two thirds of the time, when caches and what is kept for a minute have filled), and what it
// holds when nobody asks any more. Ends with 1 when it holds anything, or when a request failed that was not cancelled.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Emu } from '@emu/sdk';

import { root } from './setup.mjs';

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string' },
    seconds: { type: 'string', default: '600' },
    // Each sends one request after another; most requests are cancelled after their second text.
    clients: { type: 'string', default: '6' },
    threads: { type: 'string', default: '1' },
    // What runs as `emu`.
    emu: { type: 'string', default: join(root, 'packages', 'cli', 'bin', 'emu.js') },
  },
});
const seconds = Number(flags.seconds);
const clients = Number(flags.clients);
if (flags.model === undefined || !(seconds >= 1) || !(clients >= 1)) {
  console.error('usage: node tools/soak-server.mjs --model DIR [--seconds 600] [--clients 6] [--threads 1]');
  process.exit(2);
}

const tokens = 24;
const pauseMs = 250; // HTTP/2 ends a connection on which more than 33 streams a second are reset for long
const sampleMs = 2000;

const server = await startServer();
const counts = { requests: 0, cancelled: 0, whole: 0, errors: 0 };
const samples = [];
const from = performance.now();
const isOver = () => performance.now() - from > seconds * 1000;
try {
  const loads = Array.from({ length: clients }, (_, index) => client(index));
  await Promise.all([...loads, sample()]);
  await report();
} finally {
  server.child.kill('SIGTERM');
  const status = await server.exit;
  if (status !== 0) {
    console.error(`the server ended with ${status}`);
    process.exitCode = 1;
  }
}

async function startServer() {
  const args = ['serve', '--model', flags.model, '--threads', flags.threads, '--port', '0'];
  const quiet = ['--metrics-port', '0', '--json', '-q', '--log-level', 'warn'];
  const child = spawn(process.execPath, [flags.emu, ...args, ...quiet], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
  const line = await Promise.race([
    new Promise((resolve) => createInterface(child.stdout).once('line', resolve)),
    exit.then((status) => Promise.reject(new Error(`emu serve ended with ${status}`))),
  ]);
  return { child, exit, ...JSON.parse(line) };
}

/** Every other client lets lost streams go, as one that dies does; the others tell the server to stop. */
async function client(index) {
  const retention = index % 2 === 0 ? { retentionSeconds: 0 } : {};
  const emu = await Emu.connect(`grpc://${server.address}`, retention);
  try {
    for (let count = 0; !isOver(); count++) {
      await request(emu, index * 1_000_000 + count);
      await sleep(pauseMs);
    }
  } finally {
    await emu.dispose();
  }
}

async function request(emu, seed) {
  const isWhole = seed % 10 === 0;
  const controller = new AbortController();
  counts.requests += 1;
  try {
    const stream = emu.generate(`${seed} cats sit on a mat and look at a red ball`, {
      numBeams: 1,
      seed,
      ...{ minNewTokens: tokens, maxNewTokens: tokens },
      ...{ signal: controller.signal, onAbort: 'return' },
    });
    let texts = 0;
    for await (const { type } of stream) {
      if (type === 'text') texts += 1;
      if (texts === 2 && !isWhole) controller.abort();
    }
    const { finishReason } = await stream.result();
    counts[finishReason === 'aborted' ? 'cancelled' : 'whole'] += 1;
  } catch (error) {
    counts.errors += 1;
    console.error(String(error));
  }
}

async function sample() {
  while (!isOver()) {
    const { rss } = await metrics();
    samples.push({ minutes: (performance.now() - from) / 60_000, mib: rss / 2 ** 20 });
    await sleep(sampleMs);
  }
}

async function metrics() {
  const text = await (await fetch(`http://${server.metricsAddress}/metrics`)).text();
  const value = (name) => {
    const line = text.split('\n').find((each) => each.startsWith(`${name}{`) || each.startsWith(`${name} `));
    return Number(line?.split(' ').at(-1));
  };
  return {
    rss: value('emu_process_resident_memory_bytes'),
    heap: value('emu_nodejs_heap_size_used_bytes'),
    kept: value('emu_generations_kept'),
    keptBytes: value('emu_generations_kept_bytes'),
    generations: value('emu_generations'),
    slots: value('emu_kv_cache_sequences_held'),
    pages: value('emu_kv_cache_pages_held'),
  };
}

async function report() {
  let last = await metrics();
  // What is cancelled ends within a step; two seconds are for a busy machine.
  for (let wait = 0; wait < 20 && last.slots + last.generations > 0; wait++) {
    await sleep(100);
    last = await metrics();
  }
  const late = samples.slice(Math.floor(samples.length / 3));
  const rounded = (number) => Math.round(number * 100) / 100;
  const line = {
    seconds,
    ...counts,
    rss_mib_first: rounded(samples[0].mib),
    rss_mib_last: rounded(last.rss / 2 ** 20),
    rss_mib_per_minute: rounded(slope(late)),
    heap_mib_last: rounded(last.heap / 2 ** 20),
    generations_under_way: last.generations,
    slots_held: last.slots,
    pages_held: last.pages,
    generations_kept: last.kept,
    kept_mib: rounded(last.keptBytes / 2 ** 20),
  };
  console.log(JSON.stringify(line));
  if (counts.errors + last.slots + last.pages + last.generations > 0) process.exitCode = 1;
}

/** MiB per minute of the straight line with the least squares of distances. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(({ minutes }) => minutes)), mean(points.map(({ mib }) => mib))];
  const above = points.reduce((sum, { minutes, mib }) => sum + (minutes - x) * (mib - y), 0);
  return above / points.reduce((sum, { minutes }) => sum + (minutes - x) ** 2, 0);
}
