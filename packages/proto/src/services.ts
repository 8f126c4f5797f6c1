import type { DescFile, DescService } from '@bufbuild/protobuf';

import { EmbeddingService } from './generated/emu/v1/embedding_service_pb.js';
import { GenerationService } from './generated/emu/v1/generation_service_pb.js';
import { MediaService } from './generated/emu/v1/media_service_pb.js';
import { ModelService } from './generated/emu/v1/model_service_pb.js';
import { TrainingService } from './generated/emu/v1/training_service_pb.js';
import { file_google_rpc_error_details } from './generated/google/rpc/error_details_pb.js';
import { file_google_rpc_status } from './generated/google/rpc/status_pb.js';
import { Health, file_grpc_health_v1_health } from './generated/grpc/health/v1/health_pb.js';

/** Every service of package emu.v1. */
export const emuServices: readonly DescService[] = [
  GenerationService,
  EmbeddingService,
  ModelService,
  MediaService,
  TrainingService,
];

/** Domain of every ErrorInfo that an Emu server sends. */
export const errorDomain = 'emu-sdk';

/** Every file that describes the wire, health included, each after those that it imports; for reflection. */
export function wireFiles(): readonly DescFile[] {
  const files = new Set<DescFile>();
  const add = (file: DescFile): void => {
    for (const dependency of file.dependencies) add(dependency);
    files.add(file);
  };
  for (const { file } of [...emuServices, Health]) add(file);
  for (const file of [file_google_rpc_error_details, file_google_rpc_status, file_grpc_health_v1_health])
    add(file);
  return [...files];
}
