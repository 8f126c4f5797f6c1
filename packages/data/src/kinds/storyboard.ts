import { nounPhrase, withArticle } from '../language/phrases.js';
import type { Random } from '../random.js';
import { interleaveStoryboard, type Subtitle, type TimedFrame } from '../storyboard.js';
import { colors } from '../world/attributes.js';
import { areApart, placeAnywhere, randomLook, randomSetting } from '../world/place.js';
import { relationBetween, type Scene, type SceneObject } from '../world/scene.js';
import type { Plan } from './plan.js';

/** Seconds between two frames. */
const interval = 4;

const plainDetail = { size: false, texture: true };

/** What happens between two frames, told in a line. */
interface Event {
  readonly scene: Scene;
  readonly line: string;
}

function nameOf(random: Random, object: SceneObject): string {
  return nounPhrase(random, object, plainDetail);
}

/** Another object comes; null where it would lie over one or look like one. */
function arrival(random: Random, scene: Scene): Event | null {
  const object = placeAnywhere(random, randomLook(random));
  const fits = scene.objects.every((other) => areApart(object, other) && other.shape !== object.shape);
  if (!fits || scene.objects.length >= 3) return null;
  const line = random.pick(['{} appears.', 'then {} comes.', 'now we see {}.']);
  return {
    scene: { ...scene, objects: [...scene.objects, object] },
    line: line.replace('{}', withArticle(nameOf(random, object))),
  };
}

/** An object jumps to another place. */
function move(random: Random, scene: Scene): Event | null {
  const mover = random.pick(scene.objects);
  const moved = placeAnywhere(random, mover);
  const distance = Math.hypot(moved.x - mover.x, moved.y - mover.y);
  const others = scene.objects.filter((object) => object !== mover);
  if (distance < 0.3 || !others.every((other) => areApart(moved, other))) return null;
  const relation = relationBetween(moved, mover);
  const way = { 'left-of': 'left', 'right-of': 'right', above: 'up', below: 'down' }[relation];
  return {
    scene: { ...scene, objects: scene.objects.map((object) => (object === mover ? moved : object)) },
    line: `${random.pick(['', 'then ', 'now '])}the ${mover.shape} moves ${way}.`,
  };
}

/** An object takes on another colour. */
function recolor(random: Random, scene: Scene): Event {
  const turned = random.pick(scene.objects);
  const color = random.pick(colors.filter((other) => other !== turned.color));
  return {
    scene: {
      ...scene,
      objects: scene.objects.map((object) => (object === turned ? { ...object, color } : object)),
    },
    line: `${random.pick(['', 'then ', 'now '])}the ${turned.shape} turns ${color}.`,
  };
}

/** An object goes away; the last one stays. */
function departure(random: Random, scene: Scene): Event | null {
  if (scene.objects.length < 2) return null;
  const gone = random.pick(scene.objects);
  return {
    scene: { ...scene, objects: scene.objects.filter((object) => object !== gone) },
    line: `${random.pick(['', 'then ', 'now '])}the ${gone.shape} disappears.`,
  };
}

const events = [arrival, move, recolor, departure];

/** One kind of event is chosen and tried repeatedly, so that those that often do not fit are not rare. */
function likelyEvent(random: Random, scene: Scene): Event | null {
  const event = random.pick(events);
  for (let attempt = 0; attempt < 20; attempt++) {
    const made = event(random, scene);
    if (made !== null) return made;
  }
  return null;
}

/** Three to five frames of a story with a line of subtitles, sometimes two, before each, interleaved by time. */
export function planStoryboard(random: Random): Plan | null {
  const frameCount = 3 + random.integer(3);
  const opener = placeAnywhere(random, randomLook(random));
  let scene: Scene = { objects: [opener], ...randomSetting(random) };
  const frames: TimedFrame<Scene>[] = [{ timeSeconds: interval, image: scene }];
  const subtitles: Subtitle[] = [
    {
      startSeconds: random.between(0, interval / 2),
      text: `here is ${withArticle(nameOf(random, opener))}.`,
    },
  ];
  while (frames.length < frameCount) {
    const event = likelyEvent(random, scene);
    if (event === null) continue;
    const startSeconds = frames.length * interval + random.between(0.1, interval - 0.1);
    scene = event.scene;
    frames.push({ timeSeconds: (frames.length + 1) * interval, image: scene });
    subtitles.push({ startSeconds, text: event.line });
  }
  if (random.chance(0.3)) {
    subtitles.push({
      startSeconds: frameCount * interval + 1,
      text: random.pick(['the end.', 'that is all.']),
    });
  }
  return {
    kind: 'storyboard',
    elements: interleaveStoryboard(frames, subtitles).map((piece) =>
      piece.type === 'text' ? piece : { type: 'image', scene: piece.image, timeSeconds: piece.timeSeconds },
    ),
    meta: { task: 'storyboard' },
    focus: scene.objects,
  };
}
