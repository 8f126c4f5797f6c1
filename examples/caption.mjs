// A caption, word by word.   node examples/caption.mjs PICTURE [MODEL]
import { Emu, image } from '@emu/sdk';

const [picture = 'testdata/pictures/chelsea.png', model = 'out/emu-demo'] = process.argv.slice(2);

const emu = await Emu.fromPretrained(model);
try {
  const stream = emu.caption(image(picture), { maxNewTokens: 20, temperature: 0.7, seed: 7 });
  for await (const event of stream) if (event.type === 'text') process.stdout.write(event.text);
  const { usage, finishReason } = await stream.result();
  console.log(`\n${usage.completionTokens} tokens after ${usage.promptTokens}, ended by ${finishReason}`);
} finally {
  await emu.dispose();
}
