// Writes the text that the tokenizer of the tiny model is trained on: sentences of the drawn world, and the fixed words
// of the prompts that captions, questions and conversations are asked with.
//   node tools/drawn-corpus.mjs > corpus.txt        (needs the packages to be built)
//   node tools/train-tokenizer.mjs --pieces 1000 --to models/tokenizer-drawn/tokenizer.json corpus.txt models/tokenizer/corpus.txt
import { drawnWorld } from '@emu/data';

const samples = 20_000;
const kinds = {
  pair: 3,
  document: 1,
  'few-shot': 1,
  style: 1,
  video: 1,
  storyboard: 1,
  question: 3,
  'video-question': 1.5,
  dialogue: 2,
};
// Emu1/inference.py:10-11 and mm_eval/datasets/coco.py.
const prompts = [
  'You will be presented with an image: ImageContent. You will be able to see the image after I provide it to you. Please answer my questions based on the given image.',
  'You are a helpful assistant and you will be presented with a video consisting of multiple chronological images: ImageContent. You will be able to see the video after I provide it to you. Please answer my questions based on the given video.',
  'please provide an accurate and concise description of the given image.',
  'the image depicts a photo of',
];

const stream = drawnWorld({ size: 16, kinds }).open({ seed: 77, split: 'train' });
const lines = [];
for (let i = 0; i < samples; i++) {
  const { value } = await stream.next();
  for (const element of value?.elements ?? []) if (element.type === 'text') lines.push(element.text);
}
await stream.close();
// Thrice, so that their words are joined: pairs that come once stay apart.
for (let i = 0; i < 3; i++) lines.push(...prompts);
process.stdout.write(`${lines.join('\n')}\n`);
