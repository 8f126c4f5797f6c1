import { askAbout, questionTasks, type QuestionTask } from '../language/questions.js';
import type { Random } from '../random.js';
import type { Scene } from '../world/scene.js';
import { randomScene, relatedScene, scatteredScene } from '../world/scenes.js';
import { picture, text, type Plan } from './plan.js';

/** A scene about which the task has something to ask. */
export function sceneFor(random: Random, task: QuestionTask): Scene {
  if (task === 'relation') return random.chance(0.8) ? relatedScene(random) : scatteredScene(random, 3);
  // As many scenes of one, two and three objects, so that a count cannot be guessed.
  if (task === 'count') {
    const count = 1 + random.integer(3);
    return count === 2 ? relatedScene(random) : scatteredScene(random, count);
  }
  return randomScene(random);
}

/** A picture, a question about it and the short answer. */
export function planQuestion(random: Random): Plan | null {
  const task = random.pick(questionTasks);
  const scene = sceneFor(random, task);
  const asked = askAbout(random, scene, task);
  if (asked === null) return null;
  return {
    kind: 'question',
    elements: [picture(scene, 'user'), text(asked.question, 'user'), text(asked.answer, 'assistant')],
    meta: { task, question: asked.question, answer: asked.answer },
    focus: asked.focus,
    mentions: asked.mentions,
  };
}
