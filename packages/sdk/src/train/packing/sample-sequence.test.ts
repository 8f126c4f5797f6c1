import { join } from 'node:path';

import type { Sample, SampleElement } from '@emu/data';
import { beforeAll, describe, expect, it } from 'vitest';

import { chatParts } from '../../generate/chat-format.js';
import { EmuTokenizer, type PromptPart } from '../../tokenizer/index.js';
import { readTokenizer } from '../../tokenizer/node.js';
import { instructSequence, plainSequence, type SequenceModel } from './sample-sequence.js';

const folder = join(import.meta.dirname, '../../../../../models/tokenizer-drawn');
let model: SequenceModel;
let special: EmuTokenizer['specialTokens'];

beforeAll(async () => {
  const tokenizer = await readTokenizer(folder, { instruct: true });
  model = { tokenizer, queries: 2, imageSize: 8, longest: 256 };
  special = tokenizer.specialTokens;
});

const grey = (level: number): SampleElement => ({
  type: 'image',
  image: { width: 8, height: 8, data: new Uint8Array(192).fill(level) },
});
const said = (text: string, role?: 'system' | 'user' | 'assistant'): SampleElement =>
  role === undefined ? { type: 'text', text } : { type: 'text', text, role };
const sampleOf = (kind: Sample['kind'], elements: readonly SampleElement[]): Sample => ({
  id: 'test/0',
  source: 'test',
  kind,
  elements,
});

const words = (text: string): number[] => model.tokenizer.encode(text, { addBos: false });
const picture = (): number[] => [special.imageStart, special.imageSlot, special.imageSlot, special.imageEnd];

describe('plainSequence', () => {
  it('puts a picture into [IMG], N slots, [/IMG], between <s> and </s>', () => {
    const { ids, pictures, learned } = plainSequence(sampleOf('pair', [grey(9), said('a red star.')]), model);
    expect(ids).toEqual([special.bos, ...picture(), ...words('a red star.'), special.eos]);
    expect(pictures.map(({ length }) => length)).toEqual([192]);
    expect(learned).toBeUndefined();
  });

  it('puts the text of a pair first where that is asked, and leaves other samples in their order', () => {
    const pair = plainSequence(sampleOf('pair', [grey(9), said('a red star.')]), model, { textFirst: true });
    expect(pair.ids).toEqual([special.bos, ...words('a red star.'), ...picture(), special.eos]);
    const elements = [grey(9), said('a red star.'), grey(8)];
    const document = plainSequence(sampleOf('document', elements), model, { textFirst: true });
    expect(document.ids).toEqual([
      special.bos,
      ...picture(),
      ...words('a red star.'),
      ...picture(),
      special.eos,
    ]);
  });

  it('joins a question and its answer by a space', () => {
    const elements = [grey(9), said('which color?', 'user'), said('red', 'assistant')];
    const { ids } = plainSequence(sampleOf('question', elements), model);
    expect(ids).toEqual([special.bos, ...picture(), ...words('which color? red'), special.eos]);
  });

  it('learns answers alone where that is asked', () => {
    const elements = [
      grey(9),
      said('which color?', 'user'),
      said('red', 'assistant'),
      said('how many?', 'user'),
      said('one', 'assistant'),
    ];
    const { ids, learned } = plainSequence(sampleOf('question', elements), model, { answersOnly: true });
    expect(ids.filter((_, place) => learned?.[place] === true)).toEqual([
      special.bos, // has nothing before it that could predict it
      ...picture(), // never targets
      ...words('red'),
      ...words('one'),
      special.eos,
    ]);
  });

  it('imagines the pictures that a text leads to', () => {
    const imagined = { textFirst: true, imagined: true };
    const document = sampleOf('document', [grey(1), said('one'), grey(2), grey(3)]);
    expect(plainSequence(document, model, imagined).imagined).toEqual([false, true, false]);
    expect(plainSequence(sampleOf('pair', [grey(1), said('one')]), model, imagined).imagined).toEqual([true]);
    const blend = sampleOf('blend', [grey(1), grey(2), grey(3)]);
    expect(plainSequence(blend, model, imagined).imagined).toEqual([false, false, true]);
    expect(plainSequence(document, model).imagined).toBeUndefined();
  });

  it('cuts off from the end what does not fit, and refuses what never fits', () => {
    const elements = [said('one'), grey(1), said('two'), grey(2)];
    const short = { ...model, longest: 8 };
    expect(plainSequence(sampleOf('document', elements), short).pictures).toHaveLength(1);
    expect(() => plainSequence(sampleOf('document', [grey(1)]), { ...model, longest: 5 })).toThrow(
      '[packing] sample test/0 does not fit into 5 places',
    );
  });
});

/** The ids that the running model makes of a conversation. */
function promptIds(messages: Parameters<typeof chatParts>[0]): number[] {
  const parts = chatParts(messages).flatMap((part): PromptPart[] => {
    if (part.kind === 'text') return [{ text: part.text }];
    if (part.kind === 'special') return [{ special: part.name }];
    return part.kind === 'content'
      ? part.items.flatMap((item) => (typeof item === 'string' ? [{ text: item }] : []))
      : [];
  });
  return model.tokenizer.encodeSegments(parts);
}

describe('instructSequence', () => {
  it('begins with what chat makes of the question, and learns the answers alone', () => {
    const elements = [
      said('which color?', 'user'),
      said('red', 'assistant'),
      said('which shape?', 'user'),
      said('a star', 'assistant'),
    ];
    const { ids, learned = [] } = instructSequence(sampleOf('dialogue', elements), model);
    const first = promptIds([{ role: 'user', content: 'which color?' }]);
    expect(ids.slice(0, first.length)).toEqual(first);
    const second = promptIds([
      { role: 'user', content: 'which color?' },
      { role: 'assistant', content: 'red' },
      { role: 'user', content: 'which shape?' },
    ]);
    expect(ids).toEqual([...second, ...words('a star'), special.eos]);
    expect(ids.filter((_, place) => learned[place])).toEqual([
      ...words('red'),
      special.eos,
      ...words('a star'),
      special.eos,
    ]);
  });

  it('gives one picture the message of the authors', () => {
    const elements = [grey(1), said('which color?', 'user'), said('red', 'assistant')];
    const { ids, pictures } = instructSequence(sampleOf('question', elements), model);
    expect(model.tokenizer.decode(ids)).toContain('You will be presented with an image');
    expect(pictures).toHaveLength(1);
    expect(ids.filter((id) => id === special.imageSlot)).toHaveLength(2);
  });

  it('makes a pair the answer to what caption asks, and learns its text alone', () => {
    const { ids, learned = [] } = instructSequence(sampleOf('pair', [grey(1), said('a star')]), model);
    expect(model.tokenizer.decode(ids)).toContain('the image depicts a photo of a star');
    expect(ids.filter((_, place) => learned[place])).toEqual([...words('a star'), special.eos]);
  });

  it('refuses a sample without an answer', () => {
    expect(() => instructSequence(sampleOf('document', [grey(1), said('a star')]), model)).toThrow(
      '[packing] sample test/0 has no answer to learn',
    );
  });
});
