// Two pictures become one.   node examples/blend.mjs FIRST SECOND FILE.png [MODEL]
import { writeFile } from 'node:fs/promises';
import { Emu, encodePng, image } from '@emu/sdk';

const cat = 'testdata/pictures/chelsea.png';
const [first = cat, second = cat, file = 'out/blend.png', model = 'out/emu-demo'] = process.argv.slice(2);

const emu = await Emu.fromPretrained(model);
try {
  const [picture] = await emu.blend([image(first), image(second)], { steps: 10, seed: 7 }).images();
  await writeFile(file, await encodePng(picture));
  console.log(`${file}, ${picture.width} x ${picture.height}`);
} finally {
  await emu.dispose();
}
