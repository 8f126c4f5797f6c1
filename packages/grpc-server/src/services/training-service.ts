import { create, toBinary } from '@bufbuild/protobuf';
import {
  CancelTrainingJobResponseSchema,
  CreateTrainingJobResponseSchema,
  GetTrainingJobResponseSchema,
  ListTrainingJobsResponseSchema,
  TrainingService,
  WatchTrainingJobResponseSchema,
} from '@emu/proto';
import { EmuError } from '@emu/program';

import type { TrainingJobs } from '../training/training-jobs.js';
import { serverStreaming, unary, type Route } from '../wire/routes.js';
import { pageOf } from './paging.js';

/** Routes of TrainingService; without jobs every one refuses. */
export function trainingRoutes(offered: TrainingJobs | undefined): readonly Route[] {
  const { createTrainingJob, getTrainingJob, listTrainingJobs, watchTrainingJob, cancelTrainingJob } =
    TrainingService.method;
  const jobs = (): TrainingJobs => {
    if (offered !== undefined) return offered;
    throw new EmuError('CAPABILITY_MISSING', '[training] this server takes no training jobs', {
      hint: 'Start it with --training-dir DIR.',
    });
  };
  return [
    unary(createTrainingJob, async (request, { caller, signal }) => {
      if (!request.validateOnly) {
        return create(CreateTrainingJobResponseSchema, {
          trainingJob: (await jobs().create(request, caller)).describe(),
        });
      }
      const checked = (await jobs().validate(request, caller, signal)).describe();
      return create(CreateTrainingJobResponseSchema, { trainingJob: { ...checked, name: '' } });
    }),
    unary(getTrainingJob, ({ name }, { caller }) =>
      create(GetTrainingJobResponseSchema, { trainingJob: jobs().find(name, caller).describe() }),
    ),
    unary(listTrainingJobs, (request, { caller }) => {
      const { page, nextPageToken } = pageOf(jobs().list(caller), request);
      return create(ListTrainingJobsResponseSchema, {
        trainingJobs: page.map((job) => job.describe()),
        nextPageToken,
      });
    }),
    serverStreaming(watchTrainingJob, async ({ name, afterSequence }, { caller, signal }, writer) => {
      const job = jobs().find(name, caller);
      for await (const event of job.watch(Number(afterSequence), signal)) {
        await writer.write(toBinary(WatchTrainingJobResponseSchema, event), signal);
      }
    }),
    unary(cancelTrainingJob, ({ name }, { caller }) => {
      const job = jobs().find(name, caller);
      job.cancel();
      return create(CancelTrainingJobResponseSchema, { trainingJob: job.describe() });
    }),
  ];
}
