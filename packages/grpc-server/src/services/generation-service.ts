import { randomUUID } from 'node:crypto';

import { create } from '@bufbuild/protobuf';
import {
  CancelGenerationResponseSchema,
  CountTokensResponseSchema,
  DataType,
  DecodeImageRequestSchema,
  GenerateRequestSchema,
  GenerationService,
  type CountTokensRequest,
  type CountTokensResponse,
  type DecodeImageRequest,
  type GenerateRequest,
  type ResumeCursor,
} from '@emu/proto';

import { badField } from '../convert/fields.js';
import { readFormat } from '../convert/options.js';
import { PicturePlaces } from '../convert/pictures.js';
import { readParts } from '../convert/prompts.js';
import type { GenerationJob } from '../generation/job.js';
import { encodeDecodeImage, encodeGenerate } from '../generation/job-event.js';
import type { ResponseWriter } from '../wire/response-writer.js';
import { serverStreaming, unary, type Incoming, type Route } from '../wire/routes.js';
import { beginGenerate, detailsOf, keeping, planDecodeImage, planGenerate } from './generation-request.js';
import { reading, readyModel, type ServiceContext } from './service-context.js';

/** Routes of GenerationService. */
export function generationRoutes(context: ServiceContext): readonly Route[] {
  const { generate, decodeImage, cancelGeneration, countTokens } = GenerationService.method;
  return [
    serverStreaming(generate, (request, call, writer, bytes) =>
      runGenerate(context, request, call, writer, bytes),
    ),
    serverStreaming(decodeImage, (request, call, writer, bytes) =>
      runDecodeImage(context, request, call, writer, bytes),
    ),
    unary(cancelGeneration, ({ generationId }, { caller }) => {
      context.jobs.peek(generationId, caller)?.cancel();
      return create(CancelGenerationResponseSchema);
    }),
    unary(countTokens, (request, call) => count(context, request, call)),
  ];
}

async function runGenerate(
  context: ServiceContext,
  request: GenerateRequest,
  call: Incoming,
  writer: ResponseWriter,
  bytes: Uint8Array,
): Promise<void> {
  if (request.input.case === 'resume') return resume(context, request.input.value, call, writer, 'generate');
  const model = readyModel(context, request.model);
  const plan = planGenerate(request, model, context);
  const id = `generate-${randomUUID()}`;
  const job = context.jobs.beginOrJoin({
    id,
    owner: call.caller.name,
    ...keeping(GenerateRequestSchema, bytes, request, context.limits),
    events: { generationId: id, model, ...detailsOf(request) },
    encode: encodeGenerate,
    begin: (signal) => beginGenerate(request, plan, reading(context, model, call, signal)),
    arrivedAt: call.arrivedAt,
  });
  await deliver(job, 0, call, writer);
}

async function runDecodeImage(
  context: ServiceContext,
  request: DecodeImageRequest,
  call: Incoming,
  writer: ResponseWriter,
  bytes: Uint8Array,
): Promise<void> {
  if (request.source.case === 'resume') return resume(context, request.source.value, call, writer, 'decode');
  const model = readyModel(context, request.model);
  const { embedding, options } = planDecodeImage(request, model, context);
  const id = `decode-${randomUUID()}`;
  const job = context.jobs.beginOrJoin({
    id,
    owner: call.caller.name,
    ...keeping(DecodeImageRequestSchema, bytes, request, context.limits),
    events: {
      generationId: id,
      model,
      format: readFormat(request.image),
      tokens: false,
      logprobs: false,
      visualEmbeddings: false,
      visualEmbeddingType: DataType.UNSPECIFIED,
    },
    encode: encodeDecodeImage,
    begin: (signal) =>
      Promise.resolve(
        model.emu.decodeImage(embedding, { ...options, signal, onAbort: 'return', client: call.client }),
      ),
    arrivedAt: call.arrivedAt,
  });
  await deliver(job, 0, call, writer);
}

async function resume(
  context: ServiceContext,
  { generationId, afterSequence }: ResumeCursor,
  call: Incoming,
  writer: ResponseWriter,
  kind: 'generate' | 'decode',
): Promise<void> {
  const job = context.jobs.find(generationId, call.caller, 'resume.generation_id');
  if (!job.spec.id.startsWith(`${kind}-`)) {
    throw badField('resume.generation_id', 'is of a generation that another method began', {
      hint: 'Resume with the method that gave the id.',
    });
  }
  await deliver(job, Number(afterSequence), call, writer);
}

async function deliver(
  job: GenerationJob,
  afterSequence: number,
  call: Incoming,
  writer: ResponseWriter,
): Promise<void> {
  const { model } = job.spec.events;
  call.facts['gen_ai.system'] = 'emu';
  call.facts['gen_ai.operation.name'] = call.method.endsWith('DecodeImage')
    ? 'decode_image'
    : 'generate_content';
  call.facts['gen_ai.request.model'] = model.name;
  try {
    await job.read(afterSequence, ({ bytes }) => writer.write(bytes, call.signal), call.signal);
  } finally {
    const { outcome } = job;
    call.facts['gen_ai.response.id'] = job.spec.id;
    if (outcome !== undefined) {
      call.facts['gen_ai.usage.input_tokens'] = outcome.usage.promptTokens;
      call.facts['gen_ai.usage.output_tokens'] = outcome.usage.completionTokens;
      call.facts['gen_ai.response.finish_reasons'] = [outcome.finishReason];
    }
  }
}

async function count(
  context: ServiceContext,
  request: CountTokensRequest,
  call: Incoming,
): Promise<CountTokensResponse> {
  const model = readyModel(context, request.model);
  const { emu } = model;
  const items = await readParts(request.prompt?.parts ?? [], 'prompt.parts', {
    ...reading(context, model, call, call.signal),
    pictures: new PicturePlaces(context.pictures),
  });
  const tokenCount = emu.countTokens(items);
  const pictures = items.reduce((sum, item) => {
    if (typeof item === 'string') return sum;
    return sum + (item.kind === 'video' ? item.frameCount : 1);
  }, 0);
  const visualTokenCount = pictures * emu.model.config.causalTransformer.queries;
  return create(CountTokensResponseSchema, { tokenCount, visualTokenCount });
}
