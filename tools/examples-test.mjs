// Runs every program of examples/ on the demo model, as its first line says, and looks at what it prints and writes.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runChecks } from './checks.mjs';
import { makeDemoModel } from './demo-model.mjs';
import { root } from './setup.mjs';

const folder = join(root, 'out', 'examples');
const photograph = join(root, 'testdata', 'pictures', 'chelsea.png');
const circle = join(folder, 'circle.png');
const longest = 40;
const tours = new Set(['tour.mjs', 'drawn-world.mjs']);

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const model = await makeDemoModel();

function output(example, args) {
  const path = join(root, 'examples', example);
  const result = spawnSync(process.execPath, [path, ...args], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 120_000,
  });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`ended with ${result.status}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}

function expectMatch(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} was expected in\n${text}`);
}

/** Width and height stand in a PNG's first chunk. */
function expectPicture(path, side) {
  const bytes = readFileSync(path);
  const isPng = bytes.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
  const [width, height] = isPng ? [bytes.readUInt32BE(16), bytes.readUInt32BE(20)] : [];
  if (width !== side || height !== side) throw new Error(`${path} is no PNG of ${side} x ${side}`);
  return bytes;
}

const checks = {
  'caption.mjs': () =>
    expectMatch(output('caption.mjs', [photograph, model]), /\S\n\d+ tokens after \d+, ended by/),
  'chat.mjs': () =>
    expectMatch(output('chat.mjs', [photograph, model]), /> What animal[^]*\n> What is it looking/),
  'imagine.mjs': () => {
    const text = output('imagine.mjs', ['a red circle', circle, model]);
    expectMatch(text, /step 1 of \d+\n[^]*circle\.png, seed 7\n$/);
    const first = expectPicture(circle, 128);
    output('imagine.mjs', ['a red circle', circle, model]);
    if (!expectPicture(circle, 128).equals(first)) throw new Error('the same seed made another picture');
  },
  'blend.mjs': () => {
    const blend = join(folder, 'blend.png');
    expectMatch(output('blend.mjs', [photograph, photograph, blend, model]), /blend\.png, 128 x 128\n$/);
    expectPicture(blend, 128);
  },
  'low-level-logits.mjs': () => {
    const text = output('low-level-logits.mjs', ['a photo of a cat', model]);
    expectMatch(text, /^(position \d+: token \d+ ".*", logit -?\d+\.\d{3}\n){1,8}$/);
  },
  'tour.mjs': () => {
    const text = output('tour.mjs', [model, photograph, folder]);
    expectMatch(
      text,
      /backend cpu with [^]*UNTRAINED[^]*Caption[^]*What animal[^]*painted:[^]*step[^]*blended:/,
    );
    expectMatch(text, /Speed: +\d+ tokens\/s, one picture of 20 steps in \d+\.\d s\nWritten: .*picture\.png/);
    for (const file of ['picture.png', 'blend.png']) expectPicture(join(folder, file), 128);
  },
  'drawn-world.mjs': () => {
    const text = output('drawn-world.mjs', [model, folder]);
    expectMatch(text, /the model: [^]*Questions:[^]*eight frames[^]*four examples:[^]*painted:[^]*blended:/);
    expectMatch(text, /Speed: +\d+ tokens\/s\n +a picture of 20 steps in \d+\.\d+ s\nWritten: /);
    for (const file of ['painting.png', 'blend.png']) expectPicture(join(folder, file), 128);
    expectPicture(join(folder, 'scene.png'), 64);
  },
};

const programs = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'));
await runChecks([
  ...programs.map((name) => ({
    name,
    run: checks[name] ?? (() => Promise.reject(new Error('has no check in tools/examples-test.mjs'))),
  })),
  {
    name: `all but the tours have at most ${longest} lines`,
    run: () => {
      for (const name of programs.filter((program) => !tours.has(program))) {
        const lines = readFileSync(join(root, 'examples', name), 'utf8').split('\n').length - 1;
        if (lines > longest) throw new Error(`${name} has ${lines} lines`);
      }
    },
  },
]);
