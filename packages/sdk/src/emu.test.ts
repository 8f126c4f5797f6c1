import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EmuError, floatTensor } from '@emu/program';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { GenerationEvent } from './generate/events.js';
import { Engine } from './generate/engine.js';
import { GenerationStream } from './generate/generation-stream.js';
import { generateRules, pictureSettings, textSettings } from './generate/options.js';
import { goldenGeneration } from './testing/reference-prompts.js';
import { fastDevice } from './testing/generation-devices.js';
import { TextWork } from './generate/text-work.js';
import { embedding, image } from './image/media.js';
import { Emu, type GenerateOptions } from './node.js';
import { referenceExists, referenceFloats, referencePath } from './testing/reference-data.js';
import { expectGolden } from './testing/reference-model.js';
import { convertCheckpoint } from './weights/convert.js';

const dog = 'An image of a dog wearing a pair of glasses.';
const cat = (): ReturnType<typeof image> => image(referencePath('inputs/image0.png'));
const tiger = (): ReturnType<typeof image> => image(referencePath('inputs/image1.png'));
const tiny = { width: 64, height: 64, steps: 4 } as const;
const long = { numBeams: 1, maxNewTokens: 40, minNewTokens: 40 } as const;

function goldenText(name: string): string {
  const text = goldenGeneration().runs.find((run) => run.name === name)?.text[0];
  if (text === undefined) throw new Error(`no golden run ${name}`);
  return text;
}

async function eventsOf(stream: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The error that `call` throws or rejects with. */
async function errorOf(call: () => unknown): Promise<EmuError> {
  try {
    await call();
  } catch (error) {
    if (EmuError.isInstance(error)) return error;
    throw error;
  }
  throw new Error('there was no error');
}

describe.skipIf(!referenceExists)('an Emu', () => {
  let emu: Emu;

  beforeAll(async () => {
    emu = await Emu.fromPretrained(referencePath('checkpoint'), { device: fastDevice, dtype: 'f32' });
  });
  afterAll(() => emu.dispose());

  /** All places in the cache are free again. */
  async function expectIdle(): Promise<void> {
    const { cache, pages } = await emu.model.decoder();
    expect(cache.freeSlots).toBe(cache.shape.slots);
    // Pages of prompts stay for prompts to come; nothing else does.
    expect(cache.freePages + pages.size).toBe(cache.shape.pages);
  }

  describe('text', () => {
    it('is what the authors get, greedily and with their five beams', async () => {
      expect(await emu.generate(dog, { numBeams: 1, maxNewTokens: 24 }).text()).toBe(
        goldenText('greedy.text'),
      );
      const beams = await emu.generate(dog, { maxNewTokens: 16 }).result();
      expect(beams.text).toBe(goldenText('beam5.text.length_penalty_0.0.min_length_1'));
      expect(beams.score).toBeLessThan(0);
      await expectIdle();
    });

    it('comes as started, text, finish, and the pieces make the whole', async () => {
      const stream = emu.generate([cat(), dog], { ...long, seed: 7 });
      const events = await eventsOf(stream);
      const { text, usage, seed, finishReason, tokens } = await stream.result();
      expect(events[0]).toEqual({ type: 'started', model: referencePath('checkpoint'), seed: 7 });
      expect(events.slice(1, -1).every(({ type }) => type === 'text')).toBe(true);
      expect(events.length).toBeGreaterThan(10);
      expect(events.flatMap((event) => (event.type === 'text' ? [event.text] : [])).join('')).toBe(text);
      expect(events.at(-1)).toEqual({ type: 'finish', reason: 'length', usage, seed: 7 });
      expect({ seed, finishReason }).toEqual({ seed: 7, finishReason: 'length' });
      expect(tokens).toHaveLength(40);
      expect(usage).toEqual({
        promptTokens: emu.countTokens([cat(), dog]),
        cachedTokens: usage.cachedTokens, // by what other tests have asked before
        completionTokens: 40,
        promptImages: 1,
        images: 0,
        denoisingSteps: 0,
      });
    });

    it('drawn at random depends on the seed alone, not on what runs beside it', async () => {
      const options = { temperature: 1.5, topP: 1, maxNewTokens: 12, minNewTokens: 12 } as const;
      const alone: string[] = [];
      for (let seed = 0; seed < 8; seed++) alone.push(await emu.generate(dog, { ...options, seed }).text());
      expect(new Set(alone).size).toBe(8);
      const together = await Promise.all(
        alone.map((_, seed) => emu.generate(dog, { ...options, seed }).text()),
      );
      expect(together).toEqual(alone);
      const mixed = await Promise.all([
        emu.generate(dog, { ...options, seed: 3 }).text(),
        emu.generate([cat(), tiger(), dog], { maxNewTokens: 12 }).text(),
        emu.imagine(dog, { ...tiny, seed: 1 }).images(),
      ]);
      expect(mixed[0]).toBe(alone[3]);
      await expectIdle();
    });

    it('says which seed it drew', async () => {
      const first = await emu.generate(dog, { temperature: 1, maxNewTokens: 8 }).result();
      expect(Number.isSafeInteger(first.seed)).toBe(true);
      const again = await emu.generate(dog, { temperature: 1, maxNewTokens: 8, seed: first.seed }).result();
      expect(again.tokens).toEqual(first.tokens);
    });

    it('is one of the choices, and ends before a stop sequence', async () => {
      const choices = ['yes.', 'no.'];
      expect(choices).toContain(await emu.generate([cat(), 'a man?'], { choices }).text());
      expect(choices).toContain(
        await emu.generate([cat(), 'a man?'], { choices, temperature: 1, seed: 1 }).text(),
      );
      const whole = await emu.generate(dog, long).text();
      const stop = whole.slice(20, 23);
      for (const numBeams of [1, 2]) {
        const free = await emu.generate(dog, { ...long, numBeams }).text();
        const stream = emu.generate(dog, { ...long, numBeams, stopSequences: [stop] });
        const { text, finishReason } = await stream.result();
        expect(text).toBe(free.includes(stop) ? free.slice(0, free.indexOf(stop)) : free);
        if (numBeams === 1) expect(finishReason).toBe('stop-sequence');
      }
    });

    it('takes special tokens that a user types as plain text', () => {
      expect(emu.countTokens('[IMG]<image>[/IMG]')).toBeGreaterThan(10);
      expect(emu.countTokens(cat())).toBe(1 + 1 + 8 + 1);
    });
  });

  describe('an abort', () => {
    it('ends text within a step and throws its reason', async () => {
      const controller = new AbortController();
      const reason = new Error('enough');
      const stream = emu.generate(dog, { ...long, signal: controller.signal });
      const seen: GenerationEvent[] = [];
      const reading = (async () => {
        for await (const event of stream) {
          seen.push(event);
          if (event.type === 'text') controller.abort(reason);
        }
      })();
      await expect(reading).rejects.toBe(reason);
      await expect(stream.result()).rejects.toBe(reason);
      expect(seen.filter(({ type }) => type === 'text').length).toBeLessThanOrEqual(2);
      expect(seen.some(({ type }) => type === 'finish')).toBe(false);
      await expectIdle();
    });

    it('with onAbort "return" gives what there is', async () => {
      const controller = new AbortController();
      const stream = emu.generate(dog, { ...long, signal: controller.signal, onAbort: 'return' });
      let text = '';
      for await (const event of stream) {
        if (event.type === 'text') text += event.text;
        if (text.length > 20) controller.abort();
      }
      const result = await stream.result();
      expect(result.finishReason).toBe('aborted');
      expect(result.text).toBe(text);
      expect(result.tokens.length).toBeLessThan(40);
      await expectIdle();
    });

    it('ends denoising within a step', async () => {
      const controller = new AbortController();
      const stream = emu.imagine(dog, { ...tiny, steps: 50, signal: controller.signal, onAbort: 'return' });
      let steps = 0;
      for await (const event of stream) {
        if (event.type !== 'image-progress') continue;
        steps += 1;
        controller.abort();
      }
      expect(steps).toBeLessThanOrEqual(2);
      expect(await stream.result()).toMatchObject({ finishReason: 'aborted', images: [] });
    });

    it('before the start ends a call before it does anything', async () => {
      const events: GenerationEvent[] = [];
      const stream = emu.generate(dog, { signal: AbortSignal.abort(new Error('too late')) });
      await expect(
        (async () => {
          for await (const event of stream) events.push(event);
        })(),
      ).rejects.toThrow('too late');
      expect(events).toEqual([]);
    });

    it('comes from leaving the loop', async () => {
      const stream = emu.generate(dog, long);
      for await (const event of stream) if (event.type === 'text') break;
      await expect(stream.result()).rejects.toThrow('[generate] the reader left before the end');
      await expectIdle();
    });
  });

  describe('pictures', () => {
    it('come with embeddings, steps, previews and the picture, in this order', async () => {
      const stream = emu.imagine(dog, { ...tiny, seed: 5, previewEvery: 2 });
      const events = await eventsOf(stream);
      const kinds = events.map(({ type }) => type);
      const steps = new Array<string>(5).fill('image-progress'); // PNDM: one call more than steps
      const rows = new Array<string>(8).fill('visual-embedding');
      expect(kinds).toEqual(['started', ...rows, ...steps, 'image', 'finish']);
      const previews = events.flatMap((event) =>
        event.type === 'image-progress' && event.preview ? [event] : [],
      );
      expect(previews.map(({ step }) => step)).toEqual([2, 4]);
      expect(previews[0]?.preview).toMatchObject({ width: 64, height: 64 });
      const { images, usage } = await stream.result();
      expect(usage).toMatchObject({ images: 1, denoisingSteps: 5, completionTokens: 0 });
      expect(images[0]).toMatchObject({ width: 64, height: 64, seed: 5, checked: true });
    });

    it('are the same for a seed and for its embeddings', async () => {
      const [first] = await emu.imagine([cat(), dog], { ...tiny, seed: 9 }).images();
      const [again] = await emu.generate([cat(), dog], { ...tiny, seed: 9, output: 'image' }).images();
      const [other] = await emu.imagine([cat(), dog], { ...tiny, seed: 10 }).images();
      if (first === undefined) throw new Error('no picture');
      const [decoded] = await emu.decodeImage(embedding(first.embeddings), { ...tiny, seed: 9 }).images();
      expect(again?.data).toEqual(first.data);
      expect(decoded?.data).toEqual(first.data);
      expect(other?.data).not.toEqual(first.data);
    });

    it('of numbers that overflow are a failure, not black', async () => {
      const [first] = await emu.imagine(dog, { ...tiny, seed: 9 }).images();
      if (first === undefined) throw new Error('no picture');
      const { shape, data } = first.embeddings;
      const huge = embedding(
        floatTensor(
          shape,
          data.map(() => 3e38),
        ),
      );
      await expect(emu.decodeImage(huge, tiny).images()).rejects.toMatchObject({
        code: 'NON_FINITE',
        message: expect.stringContaining('of the decoded picture is NaN') as string,
      });
    });

    it('can be guided away from a text, with another scheduler and size', async () => {
      const options = { steps: 3, width: 72, height: 40, seed: 1, scheduler: 'ddim' } as const;
      const [plain] = await emu.imagine(dog, options).images();
      const [guided] = await emu.imagine(dog, { ...options, negativePrompt: 'a cat' }).images();
      expect(plain).toMatchObject({ width: 72, height: 40 });
      expect(guided?.data).not.toEqual(plain?.data);
    });

    it('that are flagged turn black, or are only reported', async () => {
      // The authors' checker flags this one: see pipelines.json, text50.
      const options = {
        width: 64,
        height: 64,
        steps: 50,
        latents: referenceFloats('goldens/pipeline.safetensors', 'text50.start'),
      };
      const prompt = 'A photo of a cat on a sofa';
      const [black] = await emu.imagine(prompt, options).images();
      const [reported] = await emu.imagine(prompt, { ...options, safetyChecker: 'report' }).images();
      const [unchecked] = await emu.imagine(prompt, { ...options, safetyChecker: 'off' }).images();
      expect(black).toMatchObject({ flagged: true, checked: true });
      expect(black?.data.every((level) => level === 0)).toBe(true);
      expect(reported).toMatchObject({ flagged: true, checked: true });
      expect(reported?.data.some((level) => level > 0)).toBe(true);
      expect(unchecked).toMatchObject({ flagged: false, checked: false });
      expect(unchecked?.data).toEqual(reported?.data);
    });

    it('can be read as embeddings once and used many times', async () => {
      const [first, second] = await emu.encodeImages([cat(), tiger()]);
      if (first === undefined || second === undefined) throw new Error('no embeddings');
      const golden = referenceFloats('goldens/vision.safetensors', 'cformer.output');
      expect(first.embeddings.shape).toEqual([8, 40]);
      for (const [index, value] of golden.slice(320, 640).entries()) {
        expect(second.embeddings.data[index]).toBeCloseTo(value, 4);
      }
      const options = { numBeams: 1, maxNewTokens: 6 } as const;
      expect(await emu.generate([first, dog], options).text()).toBe(
        await emu.generate([cat(), dog], options).text(),
      );
      const foreign = embedding(first.embeddings, { space: 'emu-other' });
      expect(await errorOf(() => emu.generate([foreign, dog]).text())).toMatchObject({
        code: 'EMBEDDING_SPACE_MISMATCH',
        message: `[embedding] is from space emu-other, this model's is ${first.space}`,
      });
    });
  });

  describe('scores', () => {
    const question = [cat, 'what is the man doing?'] as const;
    const candidates = ['yes', 'no', 'a dog', 'two dogs playing in the grass', 'cat'];

    it('rank candidates by loss per token, or as the authors do', async () => {
      const prompt = [question[0](), question[1]];
      const ours = await emu.score(prompt, candidates);
      const authors = await emu.score(prompt, candidates, { rankBy: 'authors' });
      const golden = referenceFloats('goldens/llm.safetensors', 'rank.segments1.losses');
      for (const { index, authorsLoss } of authors) expect(authorsLoss).toBeCloseTo(golden[index] ?? NaN, 4);
      for (const list of [ours.map((entry) => entry.meanLoss), authors.map((entry) => entry.authorsLoss)]) {
        expect([...list].sort((a, b) => a - b)).toEqual(list);
      }
      for (const { logProbability, meanLoss, tokenCount } of ours) {
        expect(logProbability).toBeCloseTo(-meanLoss * tokenCount, 3);
      }
      await expectIdle();
    });
  });

  describe('the low level', () => {
    it('runs a prompt and single steps, and forks', async () => {
      const prompt = [
        cat(),
        'There are two dogs.',
        tiger(),
        'There are three pandas.',
        image(referencePath('inputs/image2.png')),
      ];
      const { sequence, results } = await emu.prefill(prompt, {
        outputs: ['hidden', 'regressed'],
        every: true,
      });
      const hidden = Float32Array.from(results.flatMap((row) => [...(row.hidden ?? [])]));
      const regressed = Float32Array.from(results.flatMap((row) => [...(row.regressed ?? [])]));
      expectGolden(hidden, 'llm.safetensors', 'hidden3');
      expectGolden(regressed, 'llm.safetensors', 'regress');
      const fork = sequence.fork();
      const [a, b] = await emu.step([sequence, fork], [100, 100]);
      expect(a?.logits).toEqual(b?.logits);
      const [c, d] = await emu.step([sequence, fork], [200, 300]);
      expect(c?.logits).not.toEqual(d?.logits);
      const [e] = await emu.step([sequence], [100], { outputs: ['probabilities'] });
      expect(e?.probabilities?.reduce((sum, probability) => sum + probability, 0)).toBeCloseTo(1, 5);
      fork.close();
      sequence.close();
      sequence.close();
      expect((await errorOf(() => emu.step([sequence], [1]))).code).toBe('MODEL_DISPOSED');
      await expectIdle();
    });
  });

  describe('what it refuses', () => {
    const cases: readonly (readonly [string, () => unknown, string, string])[] = [
      [
        'NaN',
        () => emu.generate(dog, { temperature: NaN }),
        'INVALID_OPTION',
        '[generate] temperature must be a number in 0..100, got NaN',
      ],
      [
        'a number out of range',
        () => emu.generate(dog, { topP: 1.5 }),
        'INVALID_OPTION',
        '[generate] topP must be a number above 0 and at most 1, got 1.5',
      ],
      [
        'half a token',
        () => emu.generate(dog, { maxNewTokens: 2.5 }),
        'INVALID_OPTION',
        '[generate] maxNewTokens must be a whole number in 1..1000000, got 2.5',
      ],
      [
        'an unknown option',
        () => emu.generate(dog, { max_tokens: 3 } as GenerateOptions),
        'INVALID_OPTION',
        '[generate] there is no option "max_tokens"',
      ],
      [
        'a negative seed',
        () => emu.imagine(dog, { seed: -1 }),
        'INVALID_OPTION',
        '[imagine] seed must be a whole number in 0..2^53-1, or a bigint in 0..2^64-1, got -1',
      ],
      [
        'a width between the latents',
        () => emu.imagine(dog, { width: 100 }),
        'INVALID_OPTION',
        '[picture] width must be a multiple of 8, got 100',
      ],
      [
        'an unknown scheduler',
        () => emu.imagine(dog, { scheduler: 'heun' as 'ddim' }),
        'INVALID_OPTION',
        '[imagine] scheduler must be one of pndm, ddim, dpmsolver++, euler, got "heun"',
      ],
      [
        'beams that are drawn',
        () => emu.generate(dog, { temperature: 1, numBeams: 3 }),
        'INVALID_OPTION',
        '[generate] temperature 1 and numBeams cannot be used together',
      ],
      [
        'interleaved beams',
        () => emu.generate(dog, { output: 'interleaved', numBeams: 3 }),
        'INVALID_OPTION',
        '[generate] output "interleaved" and numBeams cannot be used together',
      ],
      [
        'more tokens at least than at most',
        () => emu.generate(dog, { minNewTokens: 9, maxNewTokens: 8 }),
        'INVALID_OPTION',
        '[generate] minNewTokens 9 is more than maxNewTokens 8',
      ],
      ['an empty prompt', () => emu.generate(''), 'INVALID_PROMPT', '[prompt] the prompt is empty'],
      ['no prompt', () => emu.generate([]), 'INVALID_PROMPT', '[prompt] the prompt is empty'],
      [
        'a prompt of something else',
        () => emu.generate([5 as never]),
        'INVALID_PROMPT',
        '[prompt] item 0 is number, not text or media',
      ],
      [
        'a blend of one',
        () => emu.blend([cat()]),
        'INVALID_PROMPT',
        '[blend] at least 2 pictures are needed, got 1',
      ],
      [
        'a blend with text',
        () => emu.blend([cat(), 'dog' as never]),
        'INVALID_PROMPT',
        '[blend] takes pictures only, got text',
      ],
      [
        'a caption of text',
        () => emu.caption('cat.png' as never),
        'INVALID_PROMPT',
        '[caption] takes pictures only, got text',
      ],
      [
        'a chat with a model that was not taught to',
        () => emu.chat([{ role: 'user', content: 'hi' }]),
        'CAPABILITY_MISSING',
        '[chat] this model is not instruction-tuned: it has no [USER] token',
      ],
      [
        'more tokens than the context has',
        () => emu.generate(dog, { maxNewTokens: 2048 }).text(),
        'CONTEXT_LENGTH_EXCEEDED',
        '[generate] a prompt of 14 and 2048 to come are 2062 positions, the context has 2048',
      ],
      [
        'a prompt longer than the context',
        () => emu.generate('dog '.repeat(3000)).text(),
        'CONTEXT_LENGTH_EXCEEDED',
        '[generate] a prompt of 3002 and 1 to come are 3003 positions, the context has 2048',
      ],
      [
        'a file that is not there',
        () => emu.generate([image('/nowhere/cat.png')]).text(),
        'MEDIA_NOT_FOUND',
        '[media] /nowhere/cat.png cannot be opened',
      ],
      [
        'a video without frames',
        () => emu.countTokens({ kind: 'film' } as never),
        'INVALID_PROMPT',
        '[countTokens] item 0 is object, not text or media',
      ],
      [
        'no candidates',
        () => emu.score(dog, []),
        'INVALID_PROMPT',
        '[score] candidates must be a list of 1..10000 texts',
      ],
      [
        'latents of another size',
        () => emu.imagine(dog, { ...tiny, latents: new Float32Array(3) }).images(),
        'TENSOR_SHAPE_MISMATCH',
        '[picture] latents have 3 values, [1,4,8,8] needs 256',
      ],
    ];

    it.each(cases)('%s', async (_name, call, code, message) => {
      const error = await errorOf(call);
      expect(error.code).toBe(code);
      expect(error.message).toContain(message);
    });

    it('is anything that is no option and no prompt, always with a typed error', async () => {
      const isTyped = async (
        call: () => { cancel(): void; result(): Promise<unknown> } | Promise<unknown>,
      ) => {
        try {
          const started = call();
          if ('cancel' in started) {
            started.cancel();
            await started.result();
          } else await started;
        } catch (error) {
          if (!EmuError.isInstance(error)) throw error;
        }
      };
      const anything = fc.anything({ withBigInt: true, withTypedArray: true });
      const names = fc.constantFrom(...Object.keys(generateRules), 'onabort', '__proto__');
      await fc.assert(
        fc.asyncProperty(anything, fc.dictionary(names, anything), async (prompt, options) => {
          await isTyped(() => emu.generate(prompt as string, { maxNewTokens: 1 }));
          await isTyped(() => emu.generate(dog, options));
          await isTyped(() => emu.imagine(dog, options));
          await isTyped(() => emu.blend(prompt as never, { steps: 1 }));
          await isTyped(() => emu.decodeImage({ kind: 'embedding', embeddings: prompt } as never));
          await isTyped(() => emu.encodeImages([{ kind: 'image', source: prompt }] as never));
          await isTyped(() => emu.score(dog, prompt as never, options));
        }),
        { numRuns: 150 },
      );
      await expectIdle();
    });

    it('with the nearest name as a hint', async () => {
      const error = await errorOf(() => emu.generate(dog, { temprature: 1 } as GenerateOptions));
      expect(error.hint).toMatch(/^Did you mean temperature\?/);
    });
  });
});

describe.skipIf(!referenceExists)('an instruction-tuned Emu', () => {
  it('answers in the authors format, and makes no pictures', async () => {
    const path = referencePath('checkpoint/Emu-instruct.pt');
    await using emu = await Emu.fromPretrained(path, { device: fastDevice, dtype: 'f32' });
    const options = { numBeams: 1, maxNewTokens: 24 } as const;
    const content = [cat(), 'what is the man doing?'];
    const golden = goldenText('instruct.greedy');
    expect(await emu.chat([{ role: 'user', content }], options).text()).toBe(golden);
    expect(await emu.ask(cat(), 'what is the man doing?', options).text()).toBe(golden);
    const turns = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'bye' },
    ] as const;
    expect((await emu.chat(turns, options).result()).usage.promptImages).toBe(0);
    expect((await emu.caption(cat(), options).result()).usage.promptImages).toBe(1);
    expect((await errorOf(() => emu.imagine('a dog'))).code).toBe('CAPABILITY_MISSING');
    const error = await errorOf(() => emu.chat([turns[1]]));
    expect(error.message).toBe('[chat] message 0 of role "assistant" cannot follow nothing');
  });
});

describe.skipIf(!referenceExists)('text with pictures in it', () => {
  it('comes in its order, and goes on after the picture', async () => {
    await using emu = await Emu.fromPretrained(referencePath('checkpoint'), {
      device: fastDevice,
      dtype: 'f32',
    });
    const reader = {
      readImage: () => Promise.reject(new Error()),
      readFrames: () => Promise.reject(new Error()),
    };
    const engine = new Engine(emu.model, reader);
    const { tokenizer } = emu.model.files;
    const { imageStart } = tokenizer.specialTokens;
    const elements = tokenizer.encode(dog);
    // This model never writes [IMG] by itself; the only choice makes it.
    const choices = [[400, imageStart, 500, 600]];
    const settings = textSettings({ output: 'interleaved', maxNewTokens: 5 }, {}, () => []);
    const pictures = pictureSettings({ ...tiny, safetyChecker: 'off' }, {}, engine.pictureSizes);
    const work = new TextWork(engine, () => Promise.resolve(elements), { ...settings, choices }, pictures, 3);
    const stream = new GenerationStream(work, {});
    const kinds = (await eventsOf(stream)).map(({ type }) => type);
    const steps = new Array<string>(5).fill('image-progress');
    const rows = new Array<string>(8).fill('visual-embedding');
    expect(kinds).toEqual(['started', 'text', ...rows, ...steps, 'image', 'text', 'text', 'finish']);
    const { content, tokens, images, usage, finishReason } = await stream.result();
    expect(tokens).toEqual([400, imageStart, 500, 600, 2]);
    expect(content).toEqual([tokenizer.decode([400]), images[0], tokenizer.decode([500, 600])]);
    expect({ finishReason, images: usage.images }).toEqual({ finishReason: 'stop', images: 1 });
    // The picture is the one that the same text gives when a picture is asked for.
    const start = [...elements, 400, imageStart];
    const rolled = await engine.rollOut(start, undefined, {});
    expect(images[0]?.embeddings.data).toEqual(rolled);
  });
});

describe.skipIf(!referenceExists)('the life of an Emu', () => {
  const open = (): Promise<Emu> =>
    Emu.fromPretrained(referencePath('checkpoint'), { device: fastDevice, dtype: 'f32' });

  it('ends with dispose: running calls are cancelled, later ones refused', async () => {
    const emu = await open();
    // Far from its end when the first event comes, however fast the machine is.
    const stream = emu.generate(dog, { numBeams: 1, maxNewTokens: 1500, minNewTokens: 1500 });
    const reading = errorOf(() => eventsOf(stream));
    await stream[Symbol.asyncIterator]().next();
    await Promise.all([emu.dispose(), emu.dispose()]);
    expect((await reading).code).toBe('MODEL_DISPOSED');
    expect(emu.disposed).toBe(true);
    expect(emu.model.memoryBytes).toBe(0);
    for (const call of [
      () => emu.generate(dog),
      () => emu.encodeImages([cat()]),
      () => emu.score(dog, ['a']),
    ]) {
      const error = await errorOf(call);
      expect([error.code, error.message]).toEqual(['MODEL_DISPOSED', '[model] the model has been disposed']);
    }
    await emu.dispose();
  });

  it('begins with progress in bytes, and an abort stops it', async () => {
    const seen: string[] = [];
    const controller = new AbortController();
    const opening = Emu.fromPretrained(referencePath('checkpoint'), {
      device: fastDevice,
      signal: controller.signal,
      onProgress: ({ phase, completed, total, unit }) => {
        expect(completed).toBeLessThanOrEqual(total);
        expect(unit).toBe('bytes');
        seen.push(phase);
        if (phase === 'load language') controller.abort(new Error('not now'));
      },
    });
    await expect(opening).rejects.toThrow('not now');
    expect(new Set(seen)).toEqual(new Set(['load vision', 'load language']));
  });

  it('is the same from a converted folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'emu-converted-'));
    try {
      await convertCheckpoint({ from: referencePath('checkpoint'), to: folder, dtype: 'f32' });
      const results = [];
      for (const path of [referencePath('checkpoint'), folder]) {
        await using emu = await Emu.fromPretrained(path, { device: fastDevice, dtype: 'f32', preload: [] });
        const { text } = await emu.generate([cat(), dog], { maxNewTokens: 8 }).result();
        const [picture] = await emu.imagine(dog, { ...tiny, seed: 2 }).images();
        results.push({ text, picture, space: (await emu.encodeImages([cat()]))[0]?.space });
      }
      expect(results[1]).toEqual(results[0]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says what is wrong with a path or an option', async () => {
    expect((await errorOf(() => Emu.fromPretrained('/nowhere'))).code).toBe('MODEL_NOT_FOUND');
    const error = await errorOf(() => Emu.fromPretrained('/nowhere', { dtyp: 'f32' } as never));
    expect([error.code, error.message]).toEqual([
      'INVALID_OPTION',
      '[fromPretrained] there is no option "dtyp"',
    ]);
    expect(error.hint).toMatch(/^Did you mean dtype\?/);
  });
});
