import { create, toBinary } from '@bufbuild/protobuf';
import { errorTable, type EmuErrorCode } from '@emu/program';
import {
  EmbeddingService,
  GenerateRequestSchema,
  GenerationService,
  MediaService,
  ModelService,
  TrainingService,
} from '@emu/proto';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createServer, type EmuServer } from './index.js';
import { failureOf, RpcFailure, TestClient } from './testing/client.js';
import { openSmallModel } from './testing/small-model.js';
import { stripes } from './testing/pictures.js';

const { generate, decodeImage, countTokens } = GenerationService.method;
const { encodeImages, score } = EmbeddingService.method;
const { uploadMedia, getUpload } = MediaService.method;
let model: Awaited<ReturnType<typeof openSmallModel>>;
let server: EmuServer;
let client: TestClient;

beforeAll(async () => {
  model = await openSmallModel();
  const limits = {
    maxRequestBytes: 2 ** 20,
    maxImages: 3,
    maxImagePixels: 10_000,
    maxNewTokens: 100,
    maxSteps: 10,
  };
  server = createServer({ models: { small: model.emu }, port: 0, limits, logLevel: 'silent' });
  await server.start();
  client = new TestClient(server.address ?? '');
});

afterAll(async () => {
  client.close();
  await server.drain({ graceMs: 0 });
  await model.close();
});

const text = (value: string) => ({ data: { case: 'text', value } }) as const;
const picture = (value: Uint8Array<ArrayBuffer>) =>
  ({ data: { case: 'image', value: { source: { case: 'data', value } } } }) as const;
const prompt = (...parts: readonly (ReturnType<typeof text> | ReturnType<typeof picture>)[]) =>
  ({ case: 'prompt', value: { parts: [...parts] } }) as const;
const hello = { input: prompt(text('hello')) } as const;
const bytes = (...values: readonly number[]): Uint8Array<ArrayBuffer> => Uint8Array.from(values);
const floats = (count: number, value = 0.5): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Float32Array.from({ length: count }, () => value).buffer);
const embedding = (shape: readonly number[], data: Uint8Array<ArrayBuffer>, space = '', dataType = 1) =>
  ({ values: { dataType, shape: [...shape], data }, space }) as const;
const drawn = (value: ReturnType<typeof embedding>) => ({ source: { case: 'embedding', value } }) as const;

/** Every failure names its reason, in the domain of ours, with a hint, in at most 4 KiB; its status is the table's. */
function expectFailure(failure: RpcFailure, code: EmuErrorCode, words: string, field?: string): void {
  expect({ reason: failure.info?.reason, message: failure.message }).toEqual({
    reason: code,
    message: expect.stringContaining(words) as string,
  });
  expect(failure.code).toBe(errorTable[code].status);
  expect(failure.info?.domain).toBe('emu-sdk');
  expect(failure.info?.metadata['hint']).toMatch(/^[A-Z].{15,}[.]$/);
  expect(failure.detailBytes).toBeLessThanOrEqual(4096);
  if (field !== undefined) expect(failure.badRequest?.fieldViolations[0]?.field).toBe(field);
}

const refusedGenerate: readonly [string, object, EmuErrorCode, string, string?][] = [
  ['nothing to continue', {}, 'INVALID_PROMPT', 'holds none of prompt', 'input'],
  ['an empty prompt', { input: prompt() }, 'INVALID_PROMPT', 'is empty', 'prompt.parts'],
  [
    'a part of nothing',
    { input: { case: 'prompt', value: { parts: [{}] } } },
    'INVALID_PROMPT',
    'holds none of text',
    'prompt.parts[0]',
  ],
  ['empty texts', { input: prompt(text(''), text('')) }, 'INVALID_PROMPT', 'has no content', 'prompt.parts'],
  [
    'an unknown model',
    { ...hello, model: 'models/emu-99' },
    'MODEL_NOT_FOUND',
    'there is no "models/emu-99", only models/small',
    'model',
  ],
  [
    'a temperature of NaN',
    { ...hello, sampling: { temperature: NaN } },
    'INVALID_OPTION',
    'a number in 0..100, got NaN',
    'sampling.temperature',
  ],
  [
    'an infinite length penalty',
    { ...hello, sampling: { lengthPenalty: Infinity } },
    'INVALID_OPTION',
    'got Infinity',
    'sampling.length_penalty',
  ],
  ['top_p of 0', { ...hello, sampling: { topP: 0 } }, 'INVALID_OPTION', 'above 0', 'sampling.top_p'],
  [
    'no new tokens',
    { ...hello, sampling: { maxNewTokens: 0 } },
    'INVALID_OPTION',
    '1..1000000, got 0',
    'sampling.max_new_tokens',
  ],
  [
    'too many new tokens',
    { ...hello, sampling: { maxNewTokens: 101 } },
    'INVALID_OPTION',
    'at most 100',
    'sampling.max_new_tokens',
  ],
  [
    'too many beams',
    { ...hello, sampling: { numBeams: 4_000_000_000 } },
    'INVALID_OPTION',
    'got 4000000000',
    'sampling.num_beams',
  ],
  [
    'an empty stop sequence',
    { ...hello, sampling: { stopSequences: [''] } },
    'INVALID_OPTION',
    'none empty',
    'sampling.stop_sequences',
  ],
  [
    'options that contradict',
    { ...hello, sampling: { temperature: 1, numBeams: 4 } },
    'INVALID_OPTION',
    'cannot be used together',
  ],
  [
    'an unknown modality',
    { ...hello, outputModalities: [7] },
    'INVALID_OPTION',
    'got 7',
    'output_modalities',
  ],
  [
    'a width of 100',
    { ...hello, outputModalities: [2], image: { width: 100 } },
    'INVALID_OPTION',
    'must be a multiple of 8',
  ],
  [
    'a huge picture',
    { ...hello, outputModalities: [2], image: { width: 4096, height: 4096 } },
    'INVALID_OPTION',
    'at most 1048576 pixels',
    'image.width',
  ],
  [
    'too many steps',
    { ...hello, outputModalities: [2], image: { steps: 11 } },
    'INVALID_OPTION',
    'at most 10',
    'image.steps',
  ],
  [
    'a guidance of NaN',
    { ...hello, outputModalities: [2], image: { guidanceScale: NaN } },
    'INVALID_OPTION',
    'got NaN',
    'image.guidance_scale',
  ],
  [
    'an unknown scheduler',
    { ...hello, outputModalities: [2], image: { scheduler: 'magic' } },
    'INVALID_OPTION',
    'pndm',
    'image.scheduler',
  ],
  [
    'an unknown format',
    { ...hello, image: { format: 77 } },
    'INVALID_OPTION',
    '77 is no ImageFormat',
    'image.format',
  ],
  [
    'no safety checker',
    { ...hello, image: { safety: 3 } },
    'PERMISSION_DENIED',
    'not allowed on this server',
    'image.safety',
  ],
  [
    'latents of NaN',
    {
      ...hello,
      outputModalities: [2],
      image: { latents: { dataType: 1, shape: [1], data: floats(1, NaN) } },
    },
    'NON_FINITE',
    'element 0 is NaN',
    'image.latents.data',
  ],
  [
    'latents of another shape',
    {
      ...hello,
      outputModalities: [2],
      image: { latents: { dataType: 1, shape: [2], data: floats(2, 1) } },
    },
    'TENSOR_SHAPE_MISMATCH',
    'a picture of this size begins with [1,4,',
    'image.latents.shape',
  ],
  [
    'a request id that is no UUID',
    { ...hello, requestId: 'seven' },
    'INVALID_OPTION',
    'must be a UUID',
    'request_id',
  ],
  [
    'a retention for ever',
    { ...hello, retention: { seconds: 10n ** 12n } },
    'INVALID_OPTION',
    '0..600 seconds',
    'retention',
  ],
  [
    'a retention before now',
    { ...hello, retention: { seconds: -1n } },
    'INVALID_OPTION',
    'got -1',
    'retention',
  ],
  [
    'a retention that is no duration',
    { ...hello, retention: { seconds: 1n, nanos: -5 } },
    'INVALID_OPTION',
    '-5 ns',
    'retention',
  ],
  [
    'choices that are books',
    { ...hello, sampling: { choices: ['yes', 'a'.repeat(140_000)] } },
    'CONTEXT_LENGTH_EXCEEDED',
    'has 140003 characters, at most 131072',
    'sampling.choices',
  ],
  [
    'a stop sequence that is a book',
    { ...hello, sampling: { stopSequences: ['a'.repeat(140_000)] } },
    'CONTEXT_LENGTH_EXCEEDED',
    'has 140000 characters',
    'sampling.stop_sequences',
  ],
  [
    'a negative prompt that is a book',
    { ...hello, outputModalities: [2], image: { negativePrompt: 'a'.repeat(140_000) } },
    'CONTEXT_LENGTH_EXCEEDED',
    'has 140000 characters',
    'image.negative_prompt',
  ],
  [
    'a question that is a book',
    { input: { case: 'question', value: { question: 'a'.repeat(140_000), context: [text('x')] } } },
    'CONTEXT_LENGTH_EXCEEDED',
    'has 140000 characters',
    'question.question',
  ],
  [
    'a lead that is a book',
    { input: { case: 'caption', value: { media: picture(bytes(1)), lead: 'a'.repeat(140_000) } } },
    'CONTEXT_LENGTH_EXCEEDED',
    'has 140000 characters',
    'caption.lead',
  ],
  [
    'a resume of nothing',
    { input: { case: 'resume', value: { generationId: 'x' } } },
    'CURSOR_EXPIRED',
    'no generation "x"',
    'resume.generation_id',
  ],
  [
    'a picture of garbage',
    { input: prompt(picture(bytes(1, 2, 3))) },
    'INVALID_IMAGE',
    'none of png',
    'prompt.parts[0].image',
  ],
  [
    'an empty picture',
    { input: prompt(text('a'), picture(bytes())) },
    'INVALID_IMAGE',
    'empty',
    'prompt.parts[1].image',
  ],
  [
    'a picture without a source',
    { input: { case: 'prompt', value: { parts: [{ data: { case: 'image', value: {} } }] } } },
    'INVALID_IMAGE',
    'neither data nor media',
    'prompt.parts[0].image',
  ],
  [
    'media of nobody',
    {
      input: {
        case: 'prompt',
        value: {
          parts: [
            {
              data: { case: 'image', value: { source: { case: 'media', value: 'media/../../etc/passwd' } } },
            },
          ],
        },
      },
    },
    'MEDIA_NOT_FOUND',
    'there is no upload',
    'prompt.parts[0].image.media',
  ],
  [
    'a video of no frames',
    {
      input: {
        case: 'prompt',
        value: {
          parts: [
            { data: { case: 'video', value: { frameCount: 0, source: { case: 'data', value: bytes(1) } } } },
          ],
        },
      },
    },
    'INVALID_OPTION',
    'got 0',
    'prompt.parts[0].video.frame_count',
  ],
  [
    'four pictures',
    { input: prompt(...[1, 2, 3, 4].map(() => picture(bytes(1)))) },
    'INVALID_OPTION',
    'has 4 entries, at most 3',
  ],
  [
    'too long a text',
    { input: prompt(text('word '.repeat(3000))) },
    'CONTEXT_LENGTH_EXCEEDED',
    'more than the 2048',
    'prompt',
  ],
  [
    'far too long a text',
    { input: prompt(text('a'.repeat(500_000))) },
    'CONTEXT_LENGTH_EXCEEDED',
    '500000 characters',
  ],
  [
    'a conversation that ends with an answer',
    { input: { case: 'conversation', value: { messages: [{ role: 3, parts: [text('hi')] }] } } },
    'INVALID_PROMPT',
    'of role',
  ],
  [
    'a message of nobody',
    { input: { case: 'conversation', value: { messages: [{ role: 9, parts: [text('hi')] }] } } },
    'INVALID_PROMPT',
    'ROLE_USER',
    'conversation.messages[0].role',
  ],
  [
    'a caption of text',
    { input: { case: 'caption', value: { media: text('a cat') } } },
    'INVALID_PROMPT',
    'must be a picture',
    'caption.media',
  ],
  [
    'a picture of a question',
    { input: { case: 'question', value: { question: 'why?', context: [text('x')] } }, outputModalities: [2] },
    'INVALID_OPTION',
    'with prompt only',
    'output_modalities',
  ],
  [
    '21 alternatives',
    { ...hello, details: { tokens: true, topLogprobCount: 21 } },
    'INVALID_OPTION',
    '0..20',
    'details.top_logprob_count',
  ],
];

const refusedDecode: readonly (readonly [string, Parameters<typeof drawn>[0], EmuErrorCode, string])[] = [
  ['a shape that is not the bytes', embedding([4, 48], floats(7)), 'TENSOR_SHAPE_MISMATCH', 'has 28 bytes'],
  ['another width', embedding([4, 40], floats(160)), 'TENSOR_SHAPE_MISMATCH', 'is [4,40]'],
  ['a shape of zero', embedding([0, 48], bytes()), 'TENSOR_SHAPE_MISMATCH', '[0,48] is no shape'],
  [
    'a shape beyond all memory',
    embedding([2 ** 31, 2 ** 31], bytes(1)),
    'TENSOR_SHAPE_MISMATCH',
    'is no shape',
  ],
  ['NaN', embedding([4, 48], floats(192, NaN)), 'NON_FINITE', 'element 0 is NaN'],
  ['no element type', embedding([4, 48], floats(192), '', 0), 'INVALID_OPTION', 'DATA_TYPE_F32'],
  [
    'another space',
    embedding([4, 48], floats(192), 'emu-of-somebody'),
    'EMBEDDING_SPACE_MISMATCH',
    'emu-of-somebody',
  ],
];

describe('a bad request', () => {
  it.each<[string, object, EmuErrorCode, string, (string | undefined)?]>([...refusedGenerate])(
    'of %s is refused',
    async (_, request, code, words, field) => {
      expectFailure(await failureOf(client.collect(generate, request)), code, words, field);
    },
  );

  it.each(refusedDecode)('for a picture of %s is refused', async (_, value, code, words) => {
    expectFailure(await failureOf(client.collect(decodeImage, drawn(value))), code, words);
  });

  it('for a blend without a mean is refused', async () => {
    const part = { embedding: embedding([4, 48], floats(192)) };
    for (const weights of [[1, -1], [NaN], [Infinity], []]) {
      const source = {
        case: 'blend',
        value: { parts: weights.map((weight) => ({ ...part, weight })) },
      } as const;
      expectFailure(
        await failureOf(client.collect(decodeImage, { source })),
        'INVALID_OPTION',
        'have no mean',
        'blend.parts',
      );
    }
  });

  it('with a picture of more pixels than accepted is refused before it is decoded', async () => {
    const large = await stripes(101, 100);
    const failure = await failureOf(client.collect(generate, { input: prompt(picture(large)) }));
    expectFailure(
      failure,
      'IMAGE_TOO_LARGE',
      '101x100 is over the limit of 10000 pixels',
      'prompt.parts[0].image',
    );
  });

  it('of garbage bytes is refused', async () => {
    const garbage = Buffer.from('ffffffffffffffffffff07', 'hex');
    expectFailure(
      await failureOf(client.unaryBytes(countTokens, garbage)),
      'INVALID_OPTION',
      'cannot be read',
    );
    const cut = Buffer.from(
      toBinary(GenerateRequestSchema, create(GenerateRequestSchema, { model: 'models/small' })),
    ).subarray(0, 5);
    const call = client.openBytes(generate, cut);
    const failure = await failureOf(
      (async () => {
        for await (const message of call) expect(message).toBeUndefined();
      })().catch((error: unknown) => {
        throw new RpcFailure(error as ServiceError);
      }),
    );
    expectFailure(failure, 'INVALID_OPTION', 'cannot be read');
  });

  it('that is larger than a message may be is refused', async () => {
    const request = { prompt: { parts: [text('a'.repeat(2 ** 20))] } };
    expectFailure(
      await failureOf(client.unary(countTokens, request)),
      'MESSAGE_TOO_LARGE',
      'larger than 1048576 bytes',
    );
  });

  it('of EncodeImages fails for the bad picture alone', async () => {
    const good = await stripes(20, 20);
    const images = [good, bytes(1, 2, 3), good].map((value) => ({
      source: { case: 'data', value } as const,
    }));
    const { results } = await client.unary(encodeImages, { images });
    expect(results.map(({ result }) => result.case)).toEqual(['embedding', 'error', 'embedding']);
    const failed = results[1]?.result;
    expect(failed?.case === 'error' && failed.value.message).toContain('none of png');
  });

  it.each([
    ['no pictures', { images: [] }, 'INVALID_PROMPT'],
    ['an unknown element type', { images: [{}], dataType: 42 }, 'INVALID_OPTION'],
    ['too many pictures', { images: [{}, {}, {}, {}] }, 'INVALID_OPTION'],
  ] as const)('of EncodeImages with %s is refused', async (_, request, code) => {
    expectFailure(
      await failureOf(client.unary(encodeImages, { ...request, images: [...request.images] })),
      code,
      '[',
    );
  });

  it.each([
    ['no candidates', { prefix: { parts: [text('a')] } }, 'INVALID_PROMPT', 'candidates'],
    [
      'an empty candidate',
      { prefix: { parts: [text('a')] }, candidates: ['b', ''] },
      'INVALID_PROMPT',
      'candidates[1]',
    ],
    [
      'candidates that are books',
      { prefix: { parts: [text('a')] }, candidates: ['b', 'c'.repeat(140_000)] },
      'CONTEXT_LENGTH_EXCEEDED',
      'candidates',
    ],
    ['no prefix', { candidates: ['b'] }, 'INVALID_PROMPT', 'prefix.parts'],
    [
      'an unknown order',
      { prefix: { parts: [text('a')] }, candidates: ['b'], order: 9 },
      'INVALID_OPTION',
      'order',
    ],
    [
      'no segments',
      { prefix: { parts: [text('a')] }, candidates: ['b'], segmentCount: 0 },
      'INVALID_OPTION',
      'segment_count',
    ],
  ])('of Score with %s is refused', async (_, request, code, field) => {
    expectFailure(await failureOf(client.unary(score, request)), code as EmuErrorCode, '[', field);
  });

  it('of UploadMedia is refused', async () => {
    const start = (value: object) => ({ data: { case: 'start', value } }) as never;
    const chunk = (size: number) => ({ data: { case: 'chunk', value: new Uint8Array(size) } }) as never;
    const cases = [
      [[chunk(1)], 'INVALID_OPTION', 'must be the first message'],
      [[], 'INVALID_OPTION', 'must be the first message'],
      [[start({ uploadId: '../x', sizeBytes: 1n })], 'INVALID_OPTION', 'letters, digits'],
      [[start({ uploadId: 'a', sizeBytes: 2n ** 60n })], 'MESSAGE_TOO_LARGE', 'must be 1..'],
      [[start({ uploadId: 'b', sizeBytes: 3n }), chunk(4)], 'INVALID_OPTION', '3 were announced'],
      [[start({ uploadId: 'c', sizeBytes: 3n }), chunk(2)], 'INVALID_OPTION', '2 bytes have arrived'],
      [
        [start({ uploadId: 'd', sizeBytes: 3n, sha256: new Uint8Array(32) }), chunk(3)],
        'INVALID_OPTION',
        'is not that of the bytes',
      ],
      [
        [start({ uploadId: 'e', sizeBytes: 3n, offset: 2n }), chunk(1)],
        'INVALID_OPTION',
        '0 bytes have arrived',
      ],
    ] as const;
    for (const [requests, code, words] of cases) {
      expectFailure(await failureOf(client.upload(uploadMedia, requests)), code, words);
    }
    expectFailure(
      await failureOf(client.unary(getUpload, { uploadId: 'zzz' })),
      'MEDIA_NOT_FOUND',
      '"zzz"',
      'upload_id',
    );
  });

  it('for lists, models and jobs is refused', async () => {
    const { listModels, getModel } = ModelService.method;
    const { createTrainingJob } = TrainingService.method;
    expectFailure(
      await failureOf(client.unary(listModels, { pageSize: 1001 })),
      'INVALID_OPTION',
      '0..1000',
      'page_size',
    );
    expectFailure(
      await failureOf(client.unary(listModels, { pageToken: 'next' })),
      'INVALID_OPTION',
      'page_token',
      'page_token',
    );
    expectFailure(
      await failureOf(client.unary(getModel, { name: 'emu' })),
      'MODEL_NOT_FOUND',
      '"emu"',
      'name',
    );
    expectFailure(
      await failureOf(client.unary(createTrainingJob, {})),
      'CAPABILITY_MISSING',
      'no training jobs',
    );
  });

  it('harms nobody: the server goes on', async () => {
    const events = await client.collect(generate, { ...hello, sampling: { maxNewTokens: 3, numBeams: 1 } });
    expect(events.at(-1)?.event.case).toBe('finished');
  });
});
