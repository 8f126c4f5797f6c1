import { caption } from '../language/captions.js';
import { askAbout, questionTasks, type Question } from '../language/questions.js';
import type { Random } from '../random.js';
import { relatedScene, scatteredScene } from '../world/scenes.js';
import { picture, text, type Plan, type PlannedElement } from './plan.js';

const systemTexts: readonly string[] = [
  'you see a picture and answer questions about it.',
  'answer the questions about the picture.',
];

const describeTexts: readonly string[] = [
  'describe the picture.',
  'what does the picture show?',
  'please describe the picture.',
  'tell me what you see.',
];

const shortTexts: readonly string[] = ['answer in one word.', 'give a short answer.'];

/** One picture and two to four turns: descriptions and questions, answered in a sentence or, when asked, in a word. */
export function planDialogue(random: Random): Plan | null {
  const scene = random.chance(0.7) ? relatedScene(random) : scatteredScene(random, 1 + random.integer(3));
  const turns: { user: string; assistant: string }[] = [];
  const asked: Question[] = [];
  if (random.chance(0.4)) turns.push({ user: random.pick(describeTexts), assistant: caption(random, scene) });
  const tasks = random.shuffled(questionTasks).slice(0, 2 + random.integer(2));
  for (const task of tasks) {
    const question = askAbout(random, scene, task);
    if (question === null) return null;
    asked.push(question);
    turns.push(
      random.chance(0.3)
        ? { user: `${question.question} ${random.pick(shortTexts)}`, assistant: question.answer }
        : { user: question.question, assistant: question.sentence },
    );
  }
  const elements: PlannedElement[] = [text(random.pick(systemTexts), 'system'), picture(scene, 'user')];
  for (const { user, assistant } of turns) elements.push(text(user, 'user'), text(assistant, 'assistant'));
  return {
    kind: 'dialogue',
    elements,
    meta: { task: 'dialogue' },
    focus: scene.objects,
    mentions: asked.flatMap((question) => question.mentions),
  };
}
