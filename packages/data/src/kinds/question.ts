import {
  askAbout,
  besideTasks,
  questionTasks,
  type BesideTask,
  type QuestionTask,
} from '../language/questions.js';
import type { Random } from '../random.js';
import type { Scene } from '../world/scene.js';
import { randomScene, relatedScene, scatteredScene } from '../world/scenes.js';
import { picture, text, type Plan, type Planner } from './plan.js';

/** A scene about which the task has something to ask. */
function sceneFor(random: Random, task: QuestionTask | BesideTask): Scene {
  if (task === 'neighbor') return relatedScene(random);
  if (task === 'relation') return random.chance(0.8) ? relatedScene(random) : scatteredScene(random, 3);
  // As many scenes of one, two and three objects: a count cannot be guessed, and textures are learned in company too.
  if (task === 'count' || task === 'texture') {
    const count = 1 + random.integer(3);
    return count === 2 ? relatedScene(random) : scatteredScene(random, count);
  }
  return randomScene(random);
}

/** Draws after which a picture has no more questions: nine of ten draws of another task find one. */
const drawsPerQuestion = 4;

/** What questions are about, with the chance of each. */
export type TaskWeights = Readonly<Partial<Record<QuestionTask | BesideTask, number>>>;

/**
 * A picture and questions about it, each followed by its short answer: the first decides the scene, `count - 1` others
 * follow as far as the scene leaves something to ask. Without `weights` the first is of a task that scores measure, any
 * as often as another, and those beside it of any task.
 */
export function questionPlanner(count: number, weights?: TaskWeights): Planner {
  return (random): Plan | null => {
    const task = weights === undefined ? random.pick(questionTasks) : random.weighted(weights);
    const scene = sceneFor(random, task);
    const first = askAbout(random, scene, task);
    if (first === null) return null;
    const asked = [first];
    for (let draw = 0; asked.length < count && draw < count * drawsPerQuestion; draw++) {
      const next =
        weights === undefined ? random.pick([...questionTasks, ...besideTasks]) : random.weighted(weights);
      const other = askAbout(random, scene, next);
      if (other !== null && asked.every(({ question }) => question !== other.question)) asked.push(other);
    }
    return {
      kind: 'question',
      elements: [
        picture(scene, 'user'),
        ...asked.flatMap(({ question, answer }) => [text(question, 'user'), text(answer, 'assistant')]),
      ],
      meta: { task, question: first.question, answer: first.answer },
      focus: asked.flatMap(({ focus }) => focus),
      mentions: asked.flatMap(({ mentions }) => mentions),
    };
  };
}
