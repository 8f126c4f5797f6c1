import { EmuError } from '@emu/program';
import type { Logger } from 'pino';

import type { PictureReader } from '../convert/pictures.js';
import type { SafetyPolicy } from '../convert/options.js';
import type { JobRegistry } from '../generation/job-registry.js';
import type { Limits } from '../limits.js';
import type { ServerMetrics } from '../observe/metrics.js';
import type { PromptReading } from '../convert/prompts.js';
import type { ServedModel, ServedModels } from '../served-model.js';
import type { Incoming } from '../wire/routes.js';
import type { MediaStore } from './media-store.js';

/** What all services of a server share. */
export interface ServiceContext {
  readonly models: ServedModels;
  readonly limits: Limits;
  readonly safety: SafetyPolicy;
  readonly jobs: JobRegistry;
  readonly media: MediaStore;
  readonly pictures: PictureReader;
  readonly metrics: ServerMetrics;
  readonly log: Logger;
  readonly version: string;
  readonly isDraining: () => boolean;
  readonly isWarm: () => boolean;
}

/** The model of a request. @throws EmuError MODEL_NOT_FOUND, MODEL_NOT_READY. */
export function readyModel(context: ServiceContext, name: string): ServedModel {
  const model = context.models.find(name);
  if (context.isWarm()) return model;
  throw new EmuError('MODEL_NOT_READY', `[${model.name}] is warming up`, {
    hint: 'Wait until grpc.health.v1.Health says SERVING.',
    details: { model: model.name },
  });
}

/** What the content of a request is read with. */
export function reading(
  { pictures, limits }: ServiceContext,
  model: ServedModel,
  { caller, client }: Incoming,
  signal: AbortSignal,
): PromptReading {
  return { model, pictures, limits, owner: caller.name, client, signal };
}
