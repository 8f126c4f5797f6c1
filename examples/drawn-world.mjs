// What `npm run demo` shows with the model that ships: captions, answers, learning from examples, painting, blending.
//   node examples/drawn-world.mjs [MODEL] [FOLDER]
// All pictures are drawn on scenes that training never shows.
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { drawnWorld } from '@emu/data';
import { Emu, EmuError, encodePng, image } from '@emu/sdk';

const [model = 'models/emu-tiny', folder = 'out/demo'] = process.argv.slice(2);
const here = (path) => relative(process.cwd(), path);
const isTerminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';
const seed = 20_251_123;
const greedy = { numBeams: 1 };

/** The first sample of a kind that suits. */
async function takeSample(kind, { split = 'evaluation', accepts = () => true, ...options } = {}) {
  const stream = drawnWorld({ kinds: { [kind]: 1 }, ...options }).open({ seed, split });
  try {
    for await (const sample of stream) if (accepts(sample)) return sample;
  } finally {
    await stream.close();
  }
}

const picturesOf = (sample) =>
  sample.elements.filter(({ type }) => type === 'image').map((each) => each.image);

/** Writes a picture and returns its path. */
async function save(name, pixels) {
  const path = join(folder, `${name}.png`);
  await writeFile(path, await encodePng(pixels));
  return here(path);
}

/** Prints text as it comes; returns the tokens made and the seconds they took. */
async function showText(stream) {
  let start = performance.now();
  let tokens = 0;
  for await (const event of stream) {
    if (event.type === 'started') start = performance.now();
    else if (event.type === 'text') process.stdout.write(event.text);
    else if (event.type === 'finish') tokens = event.usage.completionTokens;
  }
  process.stdout.write('\n');
  return { tokens, seconds: (performance.now() - start) / 1000 };
}

/** Shows the steps of a painting as they are done and writes it; returns its seconds and the picture. */
async function showPicture(name, stream) {
  const start = performance.now();
  let picture;
  for await (const event of stream) {
    if (event.type === 'image-progress') showStep(event);
    if (event.type === 'image') picture = event.image;
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(`  ${await save(name, picture)}, ${seconds.toFixed(2)} s`);
  return { seconds, picture };
}

function showStep({ step, totalSteps }) {
  const line = `  step ${step} of ${totalSteps} ${'#'.repeat(step)}${'.'.repeat(totalSteps - step)}`;
  if (isTerminal) process.stdout.write(step < totalSteps ? `\r${line}` : `\r${line}\n`);
  else if (step % 5 === 0 || step === totalSteps) console.log(line);
}

async function caption(emu) {
  const sample = await takeSample('pair', { accepts: ({ meta }) => meta.scenes[0].objects.length === 2 });
  const [picture] = picturesOf(sample);
  console.log(`\nA picture that training never showed: ${await save('scene', picture)}`);
  console.log(`  drawn as:  ${sample.meta.references[0]}`);
  process.stdout.write('  the model: ');
  return showText(emu.caption(image(picture), { ...greedy, maxNewTokens: 60 }));
}

async function questions(emu) {
  console.log('\nQuestions:');
  for (const task of ['color', 'shape', 'count', 'relation', 'existence']) {
    const sample = await takeSample('question', { accepts: ({ meta }) => meta.task === task });
    const { question, answer } = sample.meta;
    const path = await save(`question-${task}`, picturesOf(sample)[0]);
    process.stdout.write(`  ${path}: ${question} (${answer}) -> `);
    await showText(emu.ask([image(picturesOf(sample)[0])], question, { ...greedy, maxNewTokens: 12 }));
  }
  const film = await takeSample('video-question');
  process.stdout.write(`  eight frames of a film: ${film.meta.question} (${film.meta.answer}) -> `);
  const frames = picturesOf(film).map((each) => image(each));
  await showText(emu.ask(frames, film.meta.question, { ...greedy, maxNewTokens: 12 }));
}

async function fewShot(emu) {
  const sample = await takeSample('few-shot', { shots: [4] });
  console.log('\nNames made up for this prompt, learnt from four examples:');
  const prompt = [];
  for (const [index, element] of sample.elements.slice(0, -1).entries()) {
    if (element.type === 'text') console.log(element.text);
    else process.stdout.write(`  ${await save(`example-${index / 2 + 1}`, element.image)}: `);
    prompt.push(element.type === 'text' ? element.text : image(element.image));
  }
  process.stdout.write(`this is a (${sample.meta.answer}) -> `);
  const options = { ...greedy, maxNewTokens: 8, stopSequences: ['.'] };
  await showText(emu.generate([...prompt, 'this is a'], options));
}

async function paint(emu) {
  const options = { steps: 20, seed: 7 };
  const sentence = 'a red circle left of a blue heart.';
  console.log(`\n"${sentence}", painted:`);
  const { seconds } = await showPicture('painting', emu.imagine(sentence, options));
  const parents = picturesOf(await takeSample('blend')).slice(0, 2);
  const paths = [await save('parent-1', parents[0]), await save('parent-2', parents[1])];
  console.log(`\n${paths.join(' and ')}, blended:`);
  await showPicture(
    'blend',
    emu.blend(
      parents.map((each) => image(each)),
      options,
    ),
  );
  return { seconds, steps: options.steps };
}

async function tour(emu) {
  const { name, instructionSet } = emu.model.device;
  const megabytes = (emu.model.memoryBytes / 2 ** 20).toFixed(0);
  console.log(
    `\nRuntime: Node ${process.versions.node}, backend ${name} with ${instructionSet ?? 'plain'} kernels`,
  );
  console.log(`Model:   ${here(model)}, ${megabytes} MiB loaded, weights in ${emu.model.precision.matrices}`);
  console.log(
    'It was trained from nothing by this trainer on drawn pictures; its README.md has every score.',
  );
  const { tokens, seconds } = await caption(emu);
  await questions(emu);
  await fewShot(emu);
  const paints = emu.model.has('unet') && emu.model.has('vae');
  const painting = paints ? await paint(emu) : undefined;
  console.log(`\nSpeed:   ${(tokens / seconds).toFixed(0)} tokens/s`);
  if (painting !== undefined)
    console.log(`         a picture of ${painting.steps} steps in ${painting.seconds.toFixed(2)} s`);
  console.log(`Written: ${here(folder)}`);
  console.log(`\nNext:
  npx emu caption --model ${here(model)} ${here(join(folder, 'scene.png'))}
  npx emu imagine --model ${here(model)} "a green heart above a white ring." -o heart.png
  npx emu eval ${here(model)} --suite tiny --limit 20`);
}

try {
  await mkdir(folder, { recursive: true });
  const emu = await Emu.fromPretrained(model, { threads: 1 });
  try {
    await tour(emu);
  } finally {
    await emu.dispose();
  }
} catch (error) {
  console.error(EmuError.isInstance(error) ? `${error.message}\n${error.hint ?? ''}` : error);
  process.exitCode = 1;
}
