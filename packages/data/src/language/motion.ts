import type { Random } from '../random.js';
import type { Style } from '../world/attributes.js';
import { motions, type Clip, type Motion } from '../world/clip.js';
import { nounPhrase, randomDetail, withArticle } from './phrases.js';

/** `{}` stands for the sentence of a clip. */
const clipFrames: Readonly<Record<Style, readonly string[]>> = {
  plain: ['{}', 'in this video {}', 'the video shows that {}'],
  pastel: ['in this pastel video {}', '{} in pastel'],
  night: ['in this night video {}', '{} at night'],
  mosaic: ['in this mosaic video {}', '{} as a mosaic'],
  sketch: ['in this sketch video {}', '{} as a sketch'],
};

/** What the actor does, as verb phrases; the first is the short answer. */
export function motionPhrases(motion: Motion, newColor: string | null): readonly string[] {
  switch (motion) {
    case 'left':
    case 'right':
      return [`moves ${motion}`, `moves to the ${motion}`, `goes ${motion}`];
    case 'up':
    case 'down':
      return [`moves ${motion}`, `goes ${motion}`];
    case 'bounce':
      return ['bounces', 'bounces up and down'];
    case 'appear':
      return ['appears', 'shows up'];
    case 'disappear':
      return ['disappears', 'goes away'];
    case 'recolor':
      return [`turns ${newColor ?? ''}`, `becomes ${newColor ?? ''}`];
    case 'still':
      return ['stays still', 'does not move'];
  }
}

/** The caption of a clip: one lower-case sentence with a full stop. */
export function clipCaption(random: Random, clip: Clip): string {
  const actor = withArticle(nounPhrase(random, clip.actor, randomDetail(random)));
  const act = random.pick(motionPhrases(clip.motion, clip.newColor));
  const beside =
    clip.bystander === null
      ? ''
      : ` ${random.pick(['near', 'beside'])} ${withArticle(nounPhrase(random, clip.bystander, randomDetail(random)))}`;
  const style = clip.frames[0]?.style ?? 'plain';
  return `${random.pick(clipFrames[style]).replace('{}', `${actor} ${act}${beside}`)}.`;
}

/** A question about what happens in a clip, with its short answer. */
export interface MotionQuestion {
  readonly question: string;
  readonly answer: string;
}

/** Asks what happens, which way, which colour comes, which object does it, or whether something happens. */
export function askAboutMotion(random: Random, clip: Clip): MotionQuestion {
  const { actor, motion, newColor } = clip;
  const [answer = ''] = motionPhrases(motion, newColor);
  const open: MotionQuestion = {
    question: random.pick([`what happens to the ${actor.shape}?`, `what does the ${actor.shape} do?`]),
    answer,
  };
  const isMove = motion === 'left' || motion === 'right' || motion === 'up' || motion === 'down';
  const special: MotionQuestion | null = isMove
    ? { question: `which way does the ${actor.shape} move?`, answer: motion }
    : motion === 'recolor'
      ? { question: `what color does the ${actor.shape} become?`, answer: newColor ?? '' }
      : motion === 'still'
        ? null
        : { question: `which object ${answer}?`, answer: actor.shape };
  const choice = random.integer(special === null ? 2 : 3);
  if (choice === 0) return open;
  if (choice === 2 && special !== null) return special;
  const isTrue = random.chance(0.5);
  // A change of colour is asked for without its colour, so that a question never names what no picture shows.
  const others = motions.filter((other) => other !== motion && other !== 'recolor');
  const asked = isTrue ? motion : random.pick(others);
  return { question: yesNoQuestion(actor.shape, asked), answer: isTrue ? 'yes' : 'no' };
}

function yesNoQuestion(shape: string, motion: Motion): string {
  switch (motion) {
    case 'left':
    case 'right':
    case 'up':
    case 'down':
      return `does the ${shape} move ${motion}?`;
    case 'recolor':
      return `does the ${shape} change color?`;
    case 'still':
      return `does the ${shape} stay still?`;
    default:
      return `does the ${shape} ${motion}?`;
  }
}
