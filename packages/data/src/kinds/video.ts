import { askAboutMotion, clipCaption } from '../language/motion.js';
import type { Random } from '../random.js';
import type { SampleRole } from '../sample.js';
import { clipFocus, clipInterval, randomClip, type Clip } from '../world/clip.js';
import { text, type Plan, type PlannedElement, type Planner } from './plan.js';

const referenceCount = 5;

function frameElements(clip: Clip, role?: SampleRole): PlannedElement[] {
  return clip.frames.map((scene, at) => ({
    type: 'image',
    scene,
    timeSeconds: at * clipInterval,
    ...(role === undefined ? {} : { role }),
  }));
}

/** Eight frames and a caption of what happens. */
export function planVideo(random: Random): Plan | null {
  const clip = randomClip(random);
  if (clip === null) return null;
  const references = Array.from({ length: referenceCount }, () => clipCaption(random, clip));
  return {
    kind: 'video',
    elements: [...frameElements(clip), text(references[0] ?? '')],
    meta: { references, task: clip.motion },
    focus: clipFocus(clip),
  };
}

/** Eight frames and questions about what happens, each followed by its short answer; at most `count`, all different. */
export function videoQuestionPlanner(count: number): Planner {
  return (random): Plan | null => {
    const clip = randomClip(random);
    if (clip === null) return null;
    const first = askAboutMotion(random, clip);
    const asked = [first];
    for (let draw = 1; draw < count; draw++) {
      const other = askAboutMotion(random, clip);
      if (asked.every(({ question }) => question !== other.question)) asked.push(other);
    }
    return {
      kind: 'video-question',
      elements: [
        ...frameElements(clip, 'user'),
        ...asked.flatMap(({ question, answer }) => [text(question, 'user'), text(answer, 'assistant')]),
      ],
      meta: { task: 'motion', question: first.question, answer: first.answer },
      focus: clipFocus(clip),
    };
  };
}
