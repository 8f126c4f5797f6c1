// A conversation about a picture: the second question knows the first answer.   node examples/chat.mjs PICTURE [MODEL]
import { Emu, image } from '@emu/sdk';

const [picture = 'testdata/pictures/chelsea.png', model = 'out/emu-demo'] = process.argv.slice(2);
const questions = ['What animal is this?', 'What is it looking at?'];

const emu = await Emu.fromPretrained(model);
try {
  const messages = [];
  for (const question of questions) {
    const content = messages.length === 0 ? [image(picture), question] : question;
    messages.push({ role: 'user', content });
    const answer = await emu.chat(messages, { maxNewTokens: 16, temperature: 0.7, seed: 7 }).text();
    messages.push({ role: 'assistant', content: answer });
    console.log(`> ${question}\n${answer}`);
  }
} finally {
  await emu.dispose();
}
