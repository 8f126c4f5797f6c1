import type { SampleKind } from '../sample.js';
import { planDialogue } from './dialogue.js';
import { planBlend, planDocument, planStyle } from './documents.js';
import { fewShotPlanner, fewestClasses, type ExampleForms } from './few-shot.js';
import { planPair } from './pair.js';
import type { Planner } from './plan.js';
import { questionPlanner, type TaskWeights } from './question.js';
import { planStoryboard } from './storyboard.js';
import { planVideo, videoQuestionPlanner } from './video.js';

/** What planners are told. */
export interface PlannerOptions {
  /** Numbers of examples that few-shot documents may have. */
  readonly shots: readonly number[];
  /** Classes that few-shot documents have at most. */
  readonly classes: number;
  /** How few-shot documents show their examples, with the chance of each form. */
  readonly examples: ExampleForms;
  /** Questions about one picture or film. */
  readonly questions: number;
  /** What questions about a picture ask for; see `questionPlanner`. */
  readonly tasks?: TaskWeights;
}

/** How each kind of sample is made. */
export function plannersOf({
  shots,
  classes,
  examples,
  questions,
  tasks,
}: PlannerOptions): Readonly<Record<SampleKind, Planner>> {
  return {
    pair: planPair,
    document: planDocument,
    'few-shot': fewShotPlanner({ shots, classes, forms: examples }),
    style: planStyle,
    blend: planBlend,
    video: planVideo,
    storyboard: planStoryboard,
    question: questionPlanner(questions, tasks),
    'video-question': videoQuestionPlanner(questions),
    dialogue: planDialogue,
  };
}

/** Every kind of sample, in the order of the documentation. */
export const sampleKinds = Object.keys(
  plannersOf({
    ...{ shots: [0], classes: fewestClasses, examples: { pictures: 1 } },
    questions: 1,
  }),
) as readonly SampleKind[];
