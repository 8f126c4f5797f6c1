// What `npm run demo` shows: reads a photograph, talks about it, paints, blends, and says how fast it was.
//   node examples/tour.mjs MODEL PHOTOGRAPH FOLDER
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Emu, EmuError, encodePng, image } from '@emu/sdk';

const [model = 'out/emu-demo', photograph = 'testdata/pictures/chelsea.png', folder = 'out/demo'] =
  process.argv.slice(2);
const here = (path) => relative(process.cwd(), path);
const isTerminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';

/** Prints text as it comes and returns tokens per second. */
async function showText(title, stream) {
  process.stdout.write(`\n${title}\n  `);
  let start;
  let tokens = 0;
  for await (const event of stream) {
    if (event.type === 'started') start = performance.now();
    else if (event.type === 'text') process.stdout.write(event.text.replace(/\s+/g, ' '));
    else if (event.type === 'finish') tokens = event.usage.completionTokens;
  }
  process.stdout.write('\n');
  return (tokens * 1000) / (performance.now() - start);
}

/** Shows the steps of a picture as they are done, writes it as PNG, and returns seconds. */
async function showPicture(title, stream, path) {
  console.log(`\n${title}`);
  const start = performance.now();
  for await (const event of stream) {
    if (event.type === 'image-progress') showStep(event);
    if (event.type === 'image') await writeFile(path, await encodePng(event.image));
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(`  ${here(path)}, ${seconds.toFixed(1)} s`);
  return seconds;
}

function showStep({ step, totalSteps }) {
  const line = `  step ${step} of ${totalSteps} ${'#'.repeat(step)}${'.'.repeat(totalSteps - step)}`;
  if (isTerminal) process.stdout.write(step < totalSteps ? `\r${line}` : `\r${line}\n`);
  else if (step % 5 === 0 || step === totalSteps) console.log(line);
}

async function tour(emu) {
  const { name, instructionSet } = emu.model.device;
  const megabytes = (emu.model.memoryBytes / 2 ** 20).toFixed(0);
  console.log(
    `\nRuntime: Node ${process.versions.node}, backend ${name} with ${instructionSet ?? 'plain'} kernels`,
  );
  console.log(`Model:   ${here(model)}, ${megabytes} MiB loaded, weights in ${emu.model.precision.matrices}`);
  console.log(
    'This model is UNTRAINED: its weights are random numbers, so its words and pictures mean nothing yet.',
  );
  console.log('Everything around them is real: the same code reads the published checkpoints.');

  const photo = image(photograph);
  const start = performance.now();
  const [embeddings] = await emu.encodeImages([photo]);
  const milliseconds = performance.now() - start;
  const [count, width] = embeddings.embeddings.shape;
  console.log(
    `\n${here(photograph)} becomes ${count} embeddings of ${width} numbers: ${milliseconds.toFixed(0)} ms`,
  );

  const text = { maxNewTokens: 24, temperature: 1, seed: 7 };
  await showText('Caption of the photograph:', emu.caption(embeddings, text));
  const speed = await showText('"What animal is this?"', emu.ask([embeddings], 'What animal is this?', text));

  const options = { steps: 20, seed: 7 };
  const [picture, blend] = ['picture.png', 'blend.png'].map((file) => join(folder, file));
  const seconds = await showPicture(
    '"a cat wearing a hat", painted:',
    emu.imagine('a cat wearing a hat', options),
    picture,
  );
  const both = [embeddings, image(picture)];
  await showPicture('The photograph and the painting, blended:', emu.blend(both, options), blend);

  console.log(
    `\nSpeed:   ${speed.toFixed(0)} tokens/s, one picture of ${options.steps} steps in ${seconds.toFixed(1)} s`,
  );
  console.log(`Written: ${here(picture)}, ${here(blend)}`);
  console.log(`\nNext:
  npx emu caption --model ${here(model)} ${here(photograph)}
  npx emu imagine --model ${here(model)} "a red circle above a blue square" -o circle.png
  npx emu doctor`);
}

try {
  await mkdir(folder, { recursive: true });
  // A model this small is done before a second thread would have woken up.
  const emu = await Emu.fromPretrained(model, { preload: 'all', threads: 1 });
  try {
    await tour(emu);
  } finally {
    await emu.dispose();
  }
} catch (error) {
  console.error(EmuError.isInstance(error) ? `${error.message}\n${error.hint ?? ''}` : error);
  process.exitCode = 1;
}
