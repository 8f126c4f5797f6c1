import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  GetModelResponseSchema,
  GetServerInfoResponseSchema,
  ListModelsResponseSchema,
  ModelSchema,
  ModelService,
  ModelState,
  type GetServerInfoResponse,
  type Model,
} from '@emu/proto';

import type { ServedModel } from '../served-model.js';
import { mostFields } from '../wire/field-count.js';
import { unary, type Route } from '../wire/routes.js';
import { pageOf } from './paging.js';
import type { ServiceContext } from './service-context.js';

/** Routes of ModelService. */
export function modelRoutes(context: ServiceContext): readonly Route[] {
  const { listModels, getModel, getServerInfo } = ModelService.method;
  return [
    unary(listModels, (request) => {
      const sorted = [...context.models.list].sort((a, b) => (a.name < b.name ? -1 : 1));
      const { page, nextPageToken } = pageOf(sorted, request);
      return create(ListModelsResponseSchema, {
        models: page.map((model) => described(model, context)),
        nextPageToken,
      });
    }),
    unary(getModel, ({ name }) =>
      create(GetModelResponseSchema, { model: described(context.models.find(name, 'name'), context) }),
    ),
    unary(getServerInfo, () => serverInfo(context)),
  ];
}

function described(
  { name, emu, revision, runtime, isInstruct }: ServedModel,
  { isWarm }: ServiceContext,
): Model {
  const { model } = emu;
  const { causalTransformer, llama, visualDecoder } = model.config;
  const scale = visualDecoder === undefined ? 0 : 2 ** (visualDecoder.vae.blockChannels.length - 1);
  const side = visualDecoder === undefined ? 0 : visualDecoder.unet.sampleSize * scale;
  return create(ModelSchema, {
    name,
    revision,
    state: isWarm() ? ModelState.READY : ModelState.LOADING,
    contextLength: model.contextLength,
    visualTokenCount: causalTransformer.queries,
    embeddingWidth: llama.width,
    embeddingSpace: model.files.space,
    vocabularySize: llama.vocabulary,
    instructionTuned: isInstruct,
    imageOutput: model.has('unet') && model.has('vae'),
    safetyChecker: model.has('safety'),
    imageWidth: side,
    imageHeight: side,
    runtime,
  });
}

function serverInfo({ version, models, limits, jobs, isDraining }: ServiceContext): GetServerInfoResponse {
  const queuedCount = models.list.reduce((sum, { emu }) => sum + emu.statistics().queued, 0);
  const { contextLength } = models.byDefault.emu.model;
  return create(GetServerInfoResponseSchema, {
    version,
    defaultModel: models.byDefault.name,
    limits: {
      maxRequestBytes: BigInt(limits.maxRequestBytes),
      maxResponseBytes: BigInt(limits.maxResponseBytes),
      maxUploadBytes: BigInt(limits.maxUploadBytes),
      maxInputTokenCount: limits.maxInputTokens === 0 ? contextLength : limits.maxInputTokens,
      maxNewTokenCount: limits.maxNewTokens,
      maxImageCount: limits.maxImages,
      maxImagePixels: BigInt(limits.maxImagePixels),
      maxOutputPixels: BigInt(limits.maxOutputPixels),
      maxStepCount: limits.maxSteps,
      maxCandidateCount: limits.maxCandidates,
      maxStreamCount: limits.maxStreams,
      maxQueuedCount: limits.maxQueued,
      maxRetention: durationFromMs(limits.maxRetentionSeconds * 1000),
      maxBeamCount: limits.maxBeams,
      maxFieldCount: mostFields,
      maxArrivingBytes: BigInt(limits.maxArrivingBytes),
      maxArrival: durationFromMs(limits.maxArrivalMs),
    },
    activeCount: Math.max(0, jobs.running - queuedCount),
    queuedCount,
    draining: isDraining(),
  });
}
