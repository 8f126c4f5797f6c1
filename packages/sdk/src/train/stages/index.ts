import type { StageDefinition } from '../stage.js';
import { contrastiveStage } from './contrastive.js';
import { instructStage } from './instruct.js';
import { unetStage } from './unet.js';
import { unifiedStage } from './unified.js';
import { vaeStage } from './vae.js';

/** Every stage of training, in the order in which a model that starts from nothing goes through them. */
export const trainingStages: readonly StageDefinition[] = [
  contrastiveStage,
  unifiedStage,
  vaeStage,
  unetStage,
  instructStage,
];
