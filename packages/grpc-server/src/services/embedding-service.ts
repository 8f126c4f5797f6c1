import { create } from '@bufbuild/protobuf';
import {
  DataType,
  EmbeddingService,
  EncodeImageResultSchema,
  EncodeImagesResponseSchema,
  ScoreOrder,
  ScoreResponseSchema,
  VisualEmbeddingSchema,
  type EncodeImageResult,
  type EncodeImagesRequest,
  type EncodeImagesResponse,
  type ScoreRequest,
  type ScoreResponse,
} from '@emu/proto';
import { EmuError } from '@emu/program';
import type { ImageMedia, ScoreOptions } from '@emu/sdk';

import { badField, checkCharacters, checkCount } from '../convert/fields.js';
import { checkLength, readParts } from '../convert/prompts.js';
import { checkDataType, writeTensor } from '../convert/tensors.js';
import type { ServedModel } from '../served-model.js';
import { unary, type Incoming, type Route } from '../wire/routes.js';
import { rpcStatus } from '../wire/status.js';
import { reading, readyModel, type ServiceContext } from './service-context.js';

/** Routes of EmbeddingService. */
export function embeddingRoutes(context: ServiceContext): readonly Route[] {
  const { encodeImages, score } = EmbeddingService.method;
  return [
    unary(encodeImages, (request, call) => encode(context, request, call)),
    unary(score, (request, call) => rank(context, request, call)),
  ];
}

const encodedAtOnce = 8;

async function encode(
  context: ServiceContext,
  request: EncodeImagesRequest,
  call: Incoming,
): Promise<EncodeImagesResponse> {
  const model = readyModel(context, request.model);
  const { images, dataType } = request;
  checkDataType('data_type', dataType);
  if (images.length === 0) throw badField('images', 'is empty', { code: 'INVALID_PROMPT' });
  checkCount('images', images.length, context.limits.maxImages);
  checkAnswerSize(context, model, images.length, dataType);
  const results: EncodeImageResult[] = [];
  for (let start = 0; start < images.length; start += encodedAtOnce) {
    const group = images.slice(start, start + encodedAtOnce);
    const read = await Promise.all(
      group.map(async (image, index): Promise<ImageMedia | EmuError> => {
        const { imageSize } = model.emu.model.config.visual;
        try {
          return await context.pictures.image(
            image,
            imageSize,
            call.caller.name,
            `images[${start + index}]`,
            call.signal,
          );
        } catch (error) {
          call.signal.throwIfAborted();
          if (EmuError.isInstance(error)) return error;
          throw error;
        }
      }),
    );
    results.push(...(await encodeGroup(model, read, dataType, call)));
  }
  return create(EncodeImagesResponseSchema, { results });
}

async function encodeGroup(
  model: ServedModel,
  read: readonly (ImageMedia | EmuError)[],
  dataType: DataType,
  { signal, requestId }: Incoming,
): Promise<readonly EncodeImageResult[]> {
  const good = read.filter((each): each is ImageMedia => !EmuError.isInstance(each));
  const encoded = good.length === 0 ? [] : await model.emu.encodeImages(good, { signal });
  const next = encoded.values();
  return read.map((each) => {
    if (EmuError.isInstance(each)) {
      return create(EncodeImageResultSchema, {
        result: { case: 'error', value: rpcStatus(each, requestId) },
      });
    }
    const embedding = next.next().value;
    if (embedding === undefined) throw new EmuError('INTERNAL', '[encode] an embedding is missing');
    const { data, shape } = embedding.embeddings;
    const values = writeTensor(data, shape, dataType);
    const value = create(VisualEmbeddingSchema, { values, space: model.emu.model.files.space });
    return create(EncodeImageResultSchema, { result: { case: 'embedding', value } });
  });
}

/** Refuses before anything is encoded what no response could carry. */
function checkAnswerSize(
  { limits }: ServiceContext,
  { emu }: ServedModel,
  count: number,
  dataType: DataType,
): void {
  const { queries } = emu.model.config.causalTransformer;
  const bytes =
    queries *
      emu.model.config.llama.width *
      (dataType === DataType.F16 || dataType === DataType.BF16 ? 2 : 4) +
    128;
  const most = Math.floor(limits.maxResponseBytes / bytes);
  if (count <= most) return;
  throw badField(
    'images',
    `${count} embeddings of ${bytes} bytes do not fit into a response of ${limits.maxResponseBytes}`,
    {
      code: 'MESSAGE_TOO_LARGE',
      hint: `Send at most ${most} pictures at a time.`,
      details: { count, most },
    },
  );
}

const orders: Readonly<Record<number, NonNullable<ScoreOptions['rankBy']>>> = {
  [ScoreOrder.UNSPECIFIED]: 'token',
  [ScoreOrder.TOKEN]: 'token',
  [ScoreOrder.SUM]: 'sum',
  [ScoreOrder.AUTHORS]: 'authors',
};

async function rank(context: ServiceContext, request: ScoreRequest, call: Incoming): Promise<ScoreResponse> {
  const model = readyModel(context, request.model);
  const { candidates, order, segmentCount } = request;
  const rankBy = orders[order];
  if (rankBy === undefined) throw badField('order', `${order} is no ScoreOrder`, { details: { order } });
  if (segmentCount !== undefined && (segmentCount < 1 || segmentCount > 1_000_000)) {
    throw badField('segment_count', `must be 1..1000000, got ${segmentCount}`);
  }
  checkCandidates(candidates, context.limits.maxCandidates);
  const content = reading(context, model, call, call.signal);
  const items = await readParts(request.prefix?.parts ?? [], 'prefix.parts', content);
  checkLength(items, 'prefix', content);
  const ranked = await model.emu.score(items, candidates, {
    rankBy,
    ...(segmentCount === undefined ? {} : { segments: segmentCount }),
    client: call.client,
    signal: call.signal,
  });
  const places = ranked.map((each, index) => ({ ...each, rank: index + 1 }));
  return create(ScoreResponseSchema, {
    scores: places
      .sort((a, b) => a.index - b.index)
      .map(({ logProbability: logprob, meanLoss, authorsLoss, tokenCount, rank: place }) => ({
        logprob,
        meanLoss,
        authorsLoss,
        tokenCount,
        rank: place,
      })),
  });
}

function checkCandidates(candidates: readonly string[], most: number): void {
  if (candidates.length === 0) throw badField('candidates', 'is empty', { code: 'INVALID_PROMPT' });
  checkCount('candidates', candidates.length, most);
  checkCharacters('candidates', ...candidates);
  const empty = candidates.indexOf('');
  if (empty >= 0) throw badField(`candidates[${empty}]`, 'is empty', { code: 'INVALID_PROMPT' });
}
