// A picture of a text, with the steps on the way.   node examples/imagine.mjs PROMPT FILE.png [MODEL]
import { writeFile } from 'node:fs/promises';
import { Emu, encodePng } from '@emu/sdk';

const [prompt = 'a red circle', file = 'out/circle.png', model = 'out/emu-demo'] = process.argv.slice(2);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const emu = await Emu.fromPretrained(model);
try {
  const stream = emu.imagine(prompt, { steps: 10, guidanceScale: 5, seed: 7, signal: stop.signal });
  for await (const event of stream) {
    if (event.type === 'image-progress') console.log(`step ${event.step} of ${event.totalSteps}`);
    if (event.type === 'image') await writeFile(file, await encodePng(event.image));
  }
  const { seed } = await stream.result();
  console.log(`${file}, seed ${seed}`);
} finally {
  await emu.dispose();
}
