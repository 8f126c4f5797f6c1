import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openTensorFile } from '@emu/sdk/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { SignalStop } from '../terminal.js';
import { commandResult, jsonLines, type CommandResult } from '../testing/command-result.js';
import { pictureBomb, writePicture } from '../testing/pictures.js';
import { makeSmallModel } from '../testing/small-model.js';

let folder = '';
let model = '';
let picture = '';
let other = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emu-cli-'));
  model = join(folder, 'model');
  await makeSmallModel(model);
  picture = await writePicture(folder, 'one.png', 5);
  other = await writePicture(folder, 'two.png', 11);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const greedy = ['--num-beams', '1', '--max-new-tokens', '4', '--min-new-tokens', '4'];
const emu = (verb: string, ...args: string[]): Promise<CommandResult> =>
  commandResult([verb, '--model', model, ...args]);

async function finishOf(...prompt: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await emu('generate', '--json', ...greedy, ...prompt);
  return jsonLines(stdout).at(-1) ?? {};
}

async function promptTokens(text: string): Promise<number> {
  const { usage } = await finishOf(text);
  return (usage as { promptTokens: number }).promptTokens;
}

describe('emu generate', () => {
  it('prints the text alone on stdout, the same at every run', async () => {
    const first = await emu('generate', ...greedy, `@image:${picture}`, 'This is');
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect(first.stdout.length).toBeGreaterThan(1);
    expect(first.stdout.endsWith('\n')).toBe(true);
    expect(await emu('generate', ...greedy, `@image:${picture}`, 'This is')).toEqual(first);
  });

  it('prints one event per line with --json; their text is what comes without it', async () => {
    const plain = await emu('generate', ...greedy, 'This is');
    const { status, stdout, stderr } = await emu('generate', ...greedy, '--json', '--seed', '9', 'This is');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const events = jsonLines(stdout);
    expect(events[0]).toEqual({ type: 'started', model, seed: 9 });
    expect(events.at(-1)).toEqual({
      type: 'finish',
      reason: 'length',
      seed: 9,
      usage: {
        promptTokens: expect.any(Number) as number,
        cachedTokens: 0, // each command opens the model anew
        completionTokens: 4,
        promptImages: 0,
        images: 0,
        denoisingSteps: 0,
      },
    });
    const texts = events.slice(1, -1);
    expect(texts.every(({ type }) => type === 'text')).toBe(true);
    expect(`${texts.map(({ text }) => String(text)).join('')}\n`).toBe(plain.stdout);
  });

  it('keeps the digits of a long seed', async () => {
    expect(await finishOf('a', '--seed', '18446744073709551615')).toMatchObject({
      seed: '18446744073709551615',
    });
    const beyond = await emu('generate', ...greedy, 'a', '--seed', '18446744073709551616');
    expect(beyond.status).toBe(2);
    expect(beyond.stderr).toContain(
      '[generate] seed must be a whole number in 0..2^53-1, or a bigint in 0..2^64-1',
    );
  });

  it('reads prompts from files', async () => {
    const path = join(folder, 'prompt.txt');
    await writeFile(path, 'This is');
    expect(await emu('generate', ...greedy, `@file:${path}`)).toEqual(
      await emu('generate', ...greedy, 'This is'),
    );
    const missing = await emu('generate', `@file:${path}.none`);
    expect(missing.status).toBe(3);
    expect(missing.stderr).toBe(`emu: MEDIA_NOT_FOUND: [emu] ${path}.none cannot be read\n`);
  });

  it('keeps special tokens that a user types as text', async () => {
    const plain = await promptTokens('a');
    for (const typed of ['[IMG]', '</s>', '<s>', '<image>', '[/IMG]']) {
      expect(await promptTokens(`a${typed}`), typed).toBeGreaterThanOrEqual(plain + 3);
    }
  });

  it('takes model, threads, device and dtype from flags before the environment', async () => {
    const environment = { EMU_MODEL: model, EMU_DTYPE: 'bf16', EMU_THREADS: '1' };
    const expected = await emu('generate', ...greedy, 'a');
    const viaEnvironment = await commandResult(['generate', ...greedy, 'a', '--dtype', 'f32'], {
      environment,
    });
    expect(viaEnvironment).toEqual(expected);
    const wrong = { EMU_MODEL: '/nowhere', EMU_THREADS: '9999', EMU_DEVICE: 'tpu', EMU_DTYPE: 'f8' };
    const flags = ['--model', model, '--threads', '2', '--device', 'cpu', '--dtype', 'f32'];
    expect(await commandResult(['generate', ...greedy, 'a', ...flags], { environment: wrong })).toEqual(
      expected,
    );
  });

  it.each([
    [{ EMU_THREADS: 'two' }, 2, '[emu] EMU_THREADS "two" is not a number'],
    [{ EMU_THREADS: '0' }, 2, '[fromPretrained] threads must be a whole number in 1..256, got 0'],
    [{ EMU_DEVICE: 'tpu' }, 2, '[emu] EMU_DEVICE must be one of cpu, reference, got "tpu"'],
    [{ EMU_DTYPE: 'f8' }, 2, '[emu] EMU_DTYPE must be one of auto, f32, bf16, got "f8"'],
    [{ EMU_MODEL: '/nowhere/model' }, 3, 'MODEL_NOT_FOUND: '],
    [{ EMU_MODEL: ' ' }, 2, '[emu] no model was named'],
  ])('refuses the environment %j with %i', async (variables, expected, why) => {
    const { status, stdout, stderr } = await commandResult(['generate', 'a'], {
      environment: { EMU_MODEL: model, ...variables },
    });
    expect(stderr).toContain(why);
    expect({ status, stdout }).toEqual({ status: expected, stdout: '' });
  });

  it.each([
    [['--temperature', '-1'], '[generate] temperature must be'],
    [['--top-p', '2'], '[generate] topP must be'],
    [['--max-new-tokens', '1e9'], '[generate] maxNewTokens must be'],
    [['--max-new-tokens', 'Infinity'], '[generate] maxNewTokens must be'],
    [['--max-new-tokens', '300'], 'CONTEXT_LENGTH_EXCEEDED'],
    [['--num-beams', '1.5'], '[generate] numBeams must be'],
  ])('refuses %j with 2', async (flags, why) => {
    const { status, stdout, stderr } = await emu('generate', 'a', ...flags);
    expect(stderr).toContain(why);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it('ends with 130 when a signal stops it', async () => {
    const signal = AbortSignal.abort(new SignalStop('SIGINT'));
    const stopped = await commandResult(['generate', '--model', model, 'a'], { signal });
    expect(stopped).toEqual({ status: 130, stdout: '', stderr: 'emu: stopped by SIGINT\n' });
  });

  it('ends with 143 when a signal stops it in the middle', async () => {
    const controller = new AbortController();
    const long = ['--num-beams', '1', '--max-new-tokens', '240', '--min-new-tokens', '240'];
    const { status, stdout, stderr } = await commandResult(
      ['generate', '--model', model, ...long, 'a', '--json'],
      {
        signal: controller.signal,
        onStdout: (line) => {
          if (line.includes('"type":"text"')) controller.abort(new SignalStop('SIGTERM'));
        },
      },
    );
    expect({ status, stderr }).toEqual({ status: 143, stderr: 'emu: stopped by SIGTERM\n' });
    expect(jsonLines(stdout).map(({ type }) => type)).not.toContain('finish');
  });
});

describe('pictures in prompts', () => {
  it('caption and ask describe and answer', async () => {
    const caption = await emu('caption', ...greedy, picture);
    expect(caption).toMatchObject({ status: 0, stderr: '' });
    const answer = await emu('ask', ...greedy, '--json', '--image', picture, other, '--', 'What is this?');
    expect(answer).toMatchObject({ status: 0, stderr: '' });
    expect(jsonLines(answer.stdout).at(-1)).toMatchObject({ type: 'finish', usage: { promptImages: 2 } });
  });

  it.each([
    ['missing.png', undefined, 'MEDIA_NOT_FOUND'],
    ['text.png', Buffer.from('this is no picture'), 'INVALID_IMAGE'],
    ['empty.png', Buffer.alloc(0), 'INVALID_IMAGE'],
    ['cut.png', pictureBomb(64).subarray(0, 50), 'INVALID_IMAGE'],
    ['bomb.png', pictureBomb(60_000), 'IMAGE_TOO_LARGE'],
    ['huge.png', pictureBomb(2 ** 31 - 1), ''],
  ])('%s ends with 3', async (name, content, code) => {
    const path = join(folder, name);
    if (content) await writeFile(path, content);
    for (const args of [
      ['caption', path],
      ['generate', 'a', `@image:${path}`],
      ['encode', path, '-o', join(folder, 'none.safetensors')],
      ['blend', picture, path, '-o', join(folder, 'none.png')],
    ]) {
      const [verb = '', ...rest] = args;
      const { status, stdout, stderr } = await emu(verb, ...rest);
      expect(stderr, verb).toMatch(new RegExp(`^emu: ${code}.*\\[`));
      expect({ status, stdout }, verb).toEqual({ status: 3, stdout: '' });
    }
    expect(existsSync(join(folder, 'none.safetensors'))).toBe(false);
    expect(existsSync(join(folder, 'none.png'))).toBe(false);
  });

  it('refuses URLs', async () => {
    const { status, stderr } = await emu('generate', '@image:https://example.org/a.png');
    expect(status).toBe(3);
    expect(stderr).toContain('https://example.org/a.png is a URL, which is not fetched');
  });
});

describe('emu encode and emu score', () => {
  it('encode writes one tensor per picture and lists them', async () => {
    const output = join(folder, 'embeddings.safetensors');
    const { status, stdout, stderr } = await emu('encode', '--json', picture, other, '-o', output);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(jsonLines(stdout)).toEqual([
      { source: picture, name: '0', shape: [4, 48] },
      { source: other, name: '1', shape: [4, 48] },
    ]);
    const file = await openTensorFile(output);
    expect([...file.entries.values()].map(({ name, shape }) => [name, shape])).toEqual([
      ['0', [4, 48]],
      ['1', [4, 48]],
    ]);
    expect(file.metadata).toEqual({ '0': picture, '1': other });
  });

  it('score ranks every candidate, best first', async () => {
    const args = ['This is', '--candidate', 'a cat', 'a dog', 'something else'];
    const { status, stdout, stderr } = await emu('score', '--json', ...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const ranked = jsonLines(stdout);
    expect(ranked.map(({ text }) => text).sort()).toEqual(['a cat', 'a dog', 'something else']);
    const losses = ranked.map(({ meanLoss }) => meanLoss as number);
    expect(losses).toEqual([...losses].sort((a, b) => a - b));
    const keys = ['authorsLoss', 'index', 'logProbability', 'meanLoss', 'text', 'tokenCount'];
    expect(Object.keys(ranked[0] ?? {}).sort()).toEqual(keys);
    for (const { index, text } of ranked) expect(args[2 + Number(index)]).toBe(text);
    const plain = await emu('score', ...args);
    expect(plain.stdout.split('\n')[0]).toMatch(/^.+\tloss per token \d+\.\d{4}, log p -\d+\.\d{3}$/);
  });

  it('score refuses an empty candidate and an unknown ranking', async () => {
    expect((await emu('score', 'a', '--candidate', '')).status).toBe(2);
    expect((await emu('score', 'a', '--candidate', 'b', '--rank-by', 'best')).status).toBe(2);
  });
});

const reference =
  process.env['EMU_REFERENCE'] ?? join(import.meta.dirname, '../../../../../shared/reference');
const exists = existsSync(reference);
if (!exists)
  console.warn(`reference data is not beside the checkout (${reference}); emu chat is not tested on it`);

describe.skipIf(!exists)('emu chat with an instruction-tuned model', () => {
  const chat = (stdin: string, ...args: string[]): Promise<CommandResult> =>
    commandResult(
      ['chat', '--model', join(reference, 'checkpoint'), '--variant', 'instruct', ...greedy, ...args],
      { stdin },
    );

  it('answers message by message, with the earlier ones in mind', async () => {
    const stdin = `@image:${join(reference, 'inputs/image0.png')}\nWhat is this?\n\nAnd now?\n`;
    const plain = await chat(stdin);
    expect(plain).toMatchObject({ status: 0, stderr: '' });
    const events = jsonLines((await chat(stdin, '--json')).stdout);
    const tokens = events
      .filter(({ type }) => type === 'finish')
      .map(({ usage }) => (usage as { promptTokens: number }).promptTokens);
    expect(tokens).toHaveLength(2);
    expect(tokens[1]).toBeGreaterThan((tokens[0] ?? 0) + 4);
    const texts = events.flatMap(({ text }) => (typeof text === 'string' ? [text] : []));
    expect(texts.join('')).toBe(plain.stdout.replaceAll('\n', ''));
  });

  it('says at once that a model is not instruction-tuned', async () => {
    const pretrained = ['chat', '--model', join(reference, 'checkpoint'), '--variant', 'pretrain'];
    const { status, stdout, stderr } = await commandResult(pretrained, { stdin: '' });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe(
      `emu: CAPABILITY_MISSING: [chat] ${join(reference, 'checkpoint')} is not instruction-tuned: it has no [USER] token\n` +
        '     Use `emu generate` or `emu ask`, or name the instruction-tuned model.\n',
    );
  });

  it('keeps role tokens that a user types as text, and ends at a missing picture', async () => {
    const finish = async (line: string): Promise<number> => {
      const events = jsonLines((await chat(`${line}\n`, '--json')).stdout);
      return (events.at(-1)?.['usage'] as { promptTokens: number }).promptTokens;
    };
    expect(await finish('a[USER]')).toBeGreaterThanOrEqual((await finish('a')) + 3);
    const missing = await chat('@image:none.png\nWhat is this?\n');
    expect(missing.status).toBe(3);
    expect(missing.stderr).toContain('MEDIA_NOT_FOUND: [media] none.png cannot be opened');
  });
});
