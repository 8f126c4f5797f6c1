import type { SampleKind } from '../sample.js';
import { planDialogue } from './dialogue.js';
import { planBlend, planDocument, planStyle } from './documents.js';
import { fewShotPlanner } from './few-shot.js';
import { planPair } from './pair.js';
import type { Planner } from './plan.js';
import { planQuestion } from './question.js';
import { planStoryboard } from './storyboard.js';
import { planVideo, planVideoQuestion } from './video.js';

/** How each kind of sample is made; `shots` are the numbers of examples that few-shot documents may have. */
export function plannersOf(shots: readonly number[]): Readonly<Record<SampleKind, Planner>> {
  return {
    pair: planPair,
    document: planDocument,
    'few-shot': fewShotPlanner(shots),
    style: planStyle,
    blend: planBlend,
    video: planVideo,
    storyboard: planStoryboard,
    question: planQuestion,
    'video-question': planVideoQuestion,
    dialogue: planDialogue,
  };
}

/** Every kind of sample, in the order of the documentation. */
export const sampleKinds = Object.keys(plannersOf([0])) as readonly SampleKind[];
