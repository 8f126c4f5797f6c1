import { askAboutMotion, clipCaption } from '../language/motion.js';
import type { Random } from '../random.js';
import type { SampleRole } from '../sample.js';
import { clipFocus, clipInterval, randomClip, type Clip } from '../world/clip.js';
import { text, type Plan, type PlannedElement } from './plan.js';

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

/** Eight frames, a question about what happens and the short answer. */
export function planVideoQuestion(random: Random): Plan | null {
  const clip = randomClip(random);
  if (clip === null) return null;
  const { question, answer } = askAboutMotion(random, clip);
  return {
    kind: 'video-question',
    elements: [...frameElements(clip, 'user'), text(question, 'user'), text(answer, 'assistant')],
    meta: { task: 'motion', question, answer },
    focus: clipFocus(clip),
  };
}
