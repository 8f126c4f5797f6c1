import { createHash } from 'node:crypto';

import { create, type DescMessage } from '@bufbuild/protobuf';
import { durationMs, type Duration } from '@bufbuild/protobuf/wkt';
import {
  DataType,
  GenerateRequestSchema,
  OutputModality,
  type DecodeImageRequest,
  type DetailOptions,
  type GenerateRequest,
} from '@emu/proto';
import { EmuError } from '@emu/program';
import type { EmbeddingMedia, GenerateOptions, GenerationStream, PictureOptions } from '@emu/sdk';

import { badField, checkCharacters, checkCount } from '../convert/fields.js';
import { checkLatents, readFormat, readPicture, readSampling } from '../convert/options.js';
import {
  checkLength,
  readBlend,
  readEmbedding,
  readMedium,
  readMessages,
  readParts,
  type PromptReading,
} from '../convert/prompts.js';
import { checkDataType } from '../convert/tensors.js';
import type { JobSpec } from '../generation/job.js';
import type { Limits } from '../limits.js';
import type { ServedModel } from '../served-model.js';
import type { ServiceContext } from './service-context.js';

type Output = NonNullable<GenerateOptions['output']>;

/** A checked Generate request: everything but its media. */
export interface GeneratePlan {
  readonly options: GenerateOptions;
  readonly output: Output;
}

/** Checks every scalar of a request, before any medium is read. @throws EmuError with the field. */
export function planGenerate(
  request: GenerateRequest,
  model: ServedModel,
  { limits, safety }: Pick<ServiceContext, 'limits' | 'safety'>,
): GeneratePlan {
  const output = outputOf(request.outputModalities);
  const details = request.details;
  if (details !== undefined) {
    checkDataType('details.visual_embedding_type', details.visualEmbeddingType);
    if (details.topLogprobCount > 20) {
      throw badField('details.top_logprob_count', `must be in 0..20, got ${details.topLogprobCount}`);
    }
  }
  readFormat(request.image);
  checkInput(request, output);
  const sampling = readSampling(request.sampling, limits);
  const picture = output === 'text' ? {} : readPicture(request.image, limits, safety);
  if (output !== 'text') {
    checkDrawing(model);
    checkLatents(request.image, model);
  }
  if (output === 'text') readPicture(request.image, limits, safety);
  const options: GenerateOptions = {
    ...(output === 'image' ? {} : sampling),
    ...picture,
    ...(request.seed === undefined ? {} : { seed: request.seed }),
    ...(details?.tokens === true && output !== 'image' ? tokenDetails(details) : {}),
  };
  return { options, output };
}

function tokenDetails({ logprobs, topLogprobCount }: DetailOptions): GenerateOptions {
  return logprobs || topLogprobCount > 0
    ? { logprobs: true, topLogprobs: topLogprobCount }
    : { tokens: true };
}

/** Reads the media and begins. */
export async function beginGenerate(
  { input }: GenerateRequest,
  { options, output }: GeneratePlan,
  reading: PromptReading,
): Promise<GenerationStream> {
  const { emu } = reading.model;
  const running = { ...options, signal: reading.signal, onAbort: 'return', client: reading.client } as const;
  switch (input.case) {
    case 'prompt': {
      const items = await readParts(input.value.parts, 'prompt.parts', reading);
      checkLength(items, 'prompt', reading);
      return emu.generate(items, { ...running, output });
    }
    case 'conversation':
      return emu.chat(await readMessages(input.value.messages, 'conversation.messages', reading), running);
    case 'caption': {
      checkCharacters('caption.lead', input.value.lead);
      const medium = await readMedium(input.value.media, 'caption.media', reading);
      checkLength([medium, input.value.lead], 'caption', reading);
      return emu.caption(medium, { ...running, lead: input.value.lead });
    }
    case 'question': {
      checkCharacters('question.question', input.value.question);
      const context = await readParts(input.value.context, 'question.context', reading);
      checkLength([...context, input.value.question], 'question', reading);
      return emu.ask(context, input.value.question, running);
    }
    default:
      throw noInput();
  }
}

/** Checks a DecodeImage request. @throws EmuError with the field. */
export function planDecodeImage(
  request: DecodeImageRequest,
  model: ServedModel,
  { limits, safety }: Pick<ServiceContext, 'limits' | 'safety'>,
): { readonly embedding: EmbeddingMedia; readonly options: PictureOptions } {
  checkDrawing(model);
  readFormat(request.image);
  const options = readPicture(request.image, limits, safety);
  checkLatents(request.image, model);
  const { source, seed } = request;
  if (source.case !== 'embedding' && source.case !== 'blend') {
    throw badField('source', 'holds none of embedding, blend and resume', { code: 'INVALID_PROMPT' });
  }
  const embedding =
    source.case === 'embedding'
      ? readEmbedding(source.value, 'embedding', model)
      : readBlend(source.value, 'blend', model);
  return { embedding, options: { ...options, ...(seed === undefined ? {} : { seed }) } };
}

/** How a request wants to be kept and repeated. @throws EmuError INVALID_OPTION. */
export function keeping(
  { typeName }: DescMessage,
  bytes: Uint8Array,
  { requestId, retention }: { readonly requestId: string; readonly retention?: Duration | undefined },
  limits: Limits,
): Pick<JobSpec, 'repeat' | 'retentionMs'> {
  const most = limits.maxRetentionSeconds * 1000;
  const retentionMs = retention === undefined ? 0 : durationMs(retention);
  if (retention !== undefined && !isDuration(retention)) {
    throw badField(
      'retention',
      `of ${retention.seconds} s and ${retention.nanos} ns is no google.protobuf.Duration`,
      {
        hint: 'Give nanos below 10^9, with the sign of seconds.',
      },
    );
  }
  if (!(retentionMs >= 0 && retentionMs <= most)) {
    throw badField('retention', `must be 0..${most / 1000} seconds, got ${retentionMs / 1000}`, {
      details: { seconds: retentionMs / 1000, most: most / 1000 },
    });
  }
  if (requestId === '') return { repeat: undefined, retentionMs };
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(requestId)) {
    throw badField('request_id', `must be a UUID, got ${JSON.stringify(requestId.slice(0, 60))}`);
  }
  const digest = createHash('sha256').update(typeName).update(bytes).digest('hex');
  return { repeat: { requestId: requestId.toLowerCase(), digest }, retentionMs };
}

function isDuration({ seconds, nanos }: Duration): boolean {
  if (Math.abs(nanos) >= 1e9) return false;
  return nanos === 0 || seconds === 0n || nanos > 0 === seconds > 0n;
}

/** What of the request the events carry. */
export function detailsOf({ details = create(GenerateRequestSchema).details, image }: GenerateRequest): {
  readonly format: ReturnType<typeof readFormat>;
  readonly tokens: boolean;
  readonly logprobs: boolean;
  readonly visualEmbeddings: boolean;
  readonly visualEmbeddingType: DataType;
} {
  return {
    format: readFormat(image),
    tokens: details?.tokens ?? false,
    logprobs: details?.logprobs ?? false,
    visualEmbeddings: details?.visualEmbeddings ?? false,
    visualEmbeddingType: details?.visualEmbeddingType ?? DataType.UNSPECIFIED,
  };
}

function outputOf(modalities: readonly OutputModality[]): Output {
  checkCount('output_modalities', modalities.length, 2);
  for (const modality of modalities) {
    if (modality === OutputModality.TEXT || modality === OutputModality.IMAGE) continue;
    throw badField(
      'output_modalities',
      `must be OUTPUT_MODALITY_TEXT or OUTPUT_MODALITY_IMAGE, got ${modality}`,
    );
  }
  if (!modalities.includes(OutputModality.IMAGE)) return 'text';
  return modalities.includes(OutputModality.TEXT) ? 'interleaved' : 'image';
}

function checkInput({ input }: GenerateRequest, output: Output): void {
  if (input.case === undefined || input.case === 'resume') throw noInput();
  if (output === 'text' || input.case === 'prompt') return;
  throw badField('output_modalities', `pictures can be asked for with prompt only, not with ${input.case}`, {
    hint: 'Use prompt, or leave output_modalities empty.',
  });
}

function noInput(): EmuError {
  return badField('input', 'holds none of prompt, conversation, caption, question and resume', {
    code: 'INVALID_PROMPT',
    hint: 'Say what to continue.',
  });
}

function checkDrawing({ name, emu }: ServedModel): void {
  if (emu.model.has('unet') && emu.model.has('vae')) return;
  throw new EmuError('CAPABILITY_MISSING', `[${name}] makes no pictures: it has no visual decoder`, {
    hint: 'Use a model whose image_output is true.',
    details: { model: name },
  });
}
