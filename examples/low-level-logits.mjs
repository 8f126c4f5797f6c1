// Below the verbs: a prompt into the key/value cache, then greedy decoding by hand.
//   node examples/low-level-logits.mjs PROMPT [MODEL]
import { Emu } from '@emu/sdk';

const [prompt = 'a photo of a cat', model = 'out/emu-demo'] = process.argv.slice(2);

const emu = await Emu.fromPretrained(model);
try {
  const { tokenizer } = emu.model.files;
  const { sequence, results } = await emu.prefill(prompt, { outputs: ['logits'] });
  let { logits } = results.at(-1);
  const text = tokenizer.stream();
  for (let i = 0; i < 8; i++) {
    const best = logits.reduce((top, value, id) => (value > logits[top] ? id : top), 0);
    const word = JSON.stringify(text.push(best));
    console.log(`position ${sequence.length}: token ${best} ${word}, logit ${logits[best].toFixed(3)}`);
    if (best === tokenizer.specialTokens.eos) break;
    [{ logits }] = await emu.step([sequence], [best]);
  }
  sequence.close();
} finally {
  await emu.dispose();
}
