import { describe, expect, it } from 'vitest';
import { drawSample, type DrawnRecipe } from './drawn-sample.js';
import { drawnWorld } from './drawn-world.js';
import { sampleKinds } from './kinds/index.js';
import { placePhrase } from './language/phrases.js';
import type { Sample, SampleKind, SampleSplit } from './sample.js';
import { shapes } from './world/attributes.js';
import { heldOutPairs, heldOutRelations, relationKey } from './world/held-out.js';
import { relationBetween } from './world/scene.js';

function recipe(kind: SampleKind, split: SampleSplit, size = 16): DrawnRecipe {
  return {
    name: 'test',
    size,
    kinds: { [kind]: 1 },
    shots: [0, 2, 8],
    classes: 3,
    examples: { pictures: 1 },
    alike: 1,
    leastObjects: 1,
    mostObjects: 3,
    questions: 1,
    gray: 0,
    seed: 5,
    split,
  };
}

function many(kind: SampleKind, split: SampleSplit, count: number): Sample[] {
  const drawn = recipe(kind, split);
  return Array.from({ length: count }, (_, index) => drawSample(drawn, index));
}

function texts(sample: Sample): string {
  return sample.elements.flatMap((element) => (element.type === 'text' ? [element.text] : [])).join(' ');
}

/** Counts held-out combinations from the scenes alone, written down apart from the code under test. */
function shown(sample: Sample): string[] {
  return (sample.meta?.scenes ?? []).flatMap(({ objects }) => [
    ...objects.flatMap(({ color, shape }) =>
      heldOutPairs.some(([c, s]) => c === color && s === shape) ? [`${color} ${shape}`] : [],
    ),
    ...objects.flatMap((a) =>
      objects.flatMap((b) =>
        a !== b &&
        heldOutRelations.some(([x, r, y]) => x === a.shape && y === b.shape && r === relationBetween(a, b))
          ? [relationKey(a.shape, relationBetween(a, b), b.shape)]
          : [],
      ),
    ),
  ]);
}

describe('drawn world', () => {
  it.each(sampleKinds)('%s: training shows and names no held-out combination', (kind) => {
    for (const sample of many(kind, 'train', 250)) {
      expect(shown(sample), sample.id).toEqual([]);
      for (const [color, shape] of heldOutPairs) expect(texts(sample)).not.toContain(`${color} ${shape}`);
    }
  });

  it.each(sampleKinds)('%s: every held-out sample is about a held-out combination', (kind) => {
    for (const sample of many(kind, 'held-out', 60)) {
      const asked = heldOutPairs.some(([color, shape]) => texts(sample).includes(`${color} ${shape}`));
      const named = asked || sample.meta?.task === 'relation' || kind === 'dialogue';
      expect(shown(sample).length > 0 || named, sample.id).toBe(true);
    }
  });

  it.each(sampleKinds)('%s: one scene per picture, evaluation unlike training, ids unique', (kind) => {
    const [train, evaluation] = [many(kind, 'train', 40), many(kind, 'evaluation', 40)];
    for (const sample of train) {
      const pictures = sample.elements.filter((element) => element.type === 'image').length;
      expect(sample.meta?.scenes).toHaveLength(pictures);
      expect(sample.kind).toBe(kind);
    }
    const same = train.filter(
      (sample, at) => JSON.stringify(sample.meta) === JSON.stringify(evaluation[at]?.meta),
    );
    expect(same).toEqual([]);
    expect(new Set([...train, ...evaluation].map((sample) => sample.id)).size).toBe(80);
  });

  it('shows every other colour and shape in training', () => {
    const seen = new Set(
      many('pair', 'train', 1500).flatMap((sample) =>
        (sample.meta?.scenes ?? []).flatMap((scene) =>
          scene.objects.map(({ color, shape }) => `${color} ${shape}`),
        ),
      ),
    );
    expect(seen.size).toBe(64 - heldOutPairs.length);
  });

  it('has a vocabulary that a small tokenizer holds word by word', () => {
    const words = new Set<string>();
    for (const kind of sampleKinds) {
      for (const sample of many(kind, 'evaluation', 300))
        for (const word of texts(sample).match(/[a-z]+/g) ?? []) words.add(word);
    }
    expect(words.size).toBeGreaterThan(120);
    expect(words.size).toBeLessThan(250);
  });

  it('gives few-shot documents one meaning per name and a query that the rule decides', () => {
    for (const sample of many('few-shot', 'train', 100)) {
      const rule = sample.meta?.task === 'color' ? 'color' : 'shape';
      const labels = sample.elements.flatMap((element) => (element.type === 'text' ? [element.text] : []));
      const meaning = new Map<string, string>();
      labels.forEach((label, at) => {
        const value = sample.meta?.scenes?.[at]?.objects[0]?.[rule] ?? '';
        expect(meaning.get(label) ?? value).toBe(value);
        meaning.set(label, value);
      });
      expect(labels.at(-1)).toBe(`this is a ${sample.meta?.answer ?? ''}.`);
      // Only a name that came before can be told.
      const roles = sample.elements.flatMap((each) => (each.type === 'text' ? [each.role] : []));
      expect(roles).toEqual(labels.map((label, at) => (labels.indexOf(label) === at ? 'user' : 'assistant')));
      expect(labels).toHaveLength((sample.meta?.shots ?? 0) + 1);
    }
  });

  it('words the examples of few-shot documents, or repeats a list, and names no held-out combination', () => {
    const worded = { ...recipe('few-shot', 'train'), shots: [12], classes: 6 };
    const documents = (examples: DrawnRecipe['examples']): Sample[] =>
      Array.from({ length: 150 }, (_, index) => drawSample({ ...worded, examples }, index));
    for (const sample of documents({ words: 1, list: 1 })) {
      const all = sample.elements.map((each) => (each.type === 'text' ? each : { text: 'a picture' }));
      for (const [color, shape] of heldOutPairs)
        expect(all.map(({ text }) => text).join(' ')).not.toContain(`${color} ${shape}`);
      if (sample.meta?.task === 'list') {
        const [first, ...rest] = all.map(({ text }) => text);
        expect(rest.every((text) => text === first)).toBe(true);
        expect(all.map((each) => 'role' in each && each.role)).toEqual([
          'user',
          ...rest.map(() => 'assistant'),
        ]);
        continue;
      }
      expect(all).toHaveLength(2 * 13);
      const known = new Map<string, string>();
      for (let at = 0; at < all.length; at += 2) {
        const value =
          all[at]?.text.match(
            sample.meta?.task === 'color' ? /\w+(?= \w+\.)|^\w+(?=\.)/ : /\w+(?=\.)/,
          )?.[0] ?? '';
        const name = all[at + 1]?.text ?? '';
        expect(known.get(value) ?? name).toBe(name);
        expect(all[at + 1]).toHaveProperty('role', known.has(value) ? 'assistant' : 'user');
        known.set(value, name);
      }
      expect(known.size).toBeGreaterThan(1);
    }
    const mixed = documents({ mixed: 1 }).map(({ elements }) =>
      elements.filter((_, at) => at % 2 === 0).map(({ type }) => type),
    );
    expect(mixed.some((types) => types.includes('image') && types.includes('text'))).toBe(true);
    expect(mixed.some((types) => !types.includes('text'))).toBe(true);
    const counts = documents({ pictures: 1 }).map(
      ({ elements }) => new Set(elements.map((each) => each.type === 'text' && each.text)).size - 1,
    );
    expect(Math.max(...counts)).toBe(6);
  });

  it('asks several different questions about one picture or film, each with its answer', () => {
    for (const kind of ['question', 'video-question'] as const) {
      const one = many(kind, 'train', 60).map(({ elements }) =>
        elements.filter(({ type }) => type === 'text'),
      );
      expect(one.every((texts) => texts.length === 2)).toBe(true);
      const five = Array.from({ length: 60 }, (_, index) =>
        drawSample({ ...recipe(kind, 'train'), questions: 5 }, index),
      );
      const asked = five.map(({ elements }) =>
        elements.flatMap((each) => (each.type === 'text' && each.role === 'user' ? [each.text] : [])),
      );
      expect(asked.every((questions) => new Set(questions).size === questions.length)).toBe(true);
      expect(Math.max(...asked.map(({ length }) => length))).toBe(5);
      expect(asked.flat().length / 60).toBeGreaterThan(kind === 'question' ? 4 : 2.5);
      expect(five.every(({ meta }, at) => meta?.question === asked[at]?.[0])).toBe(true);
      for (const sample of five) {
        expect(shown(sample), sample.id).toEqual([]);
        for (const [color, shape] of heldOutPairs) expect(texts(sample)).not.toContain(`${color} ${shape}`);
      }
    }
  });

  it('answers where an object lies, what lies beside it and what its texture is as the scene has it', () => {
    const seen = { place: 0, shapeAt: 0, neighbor: 0, texture: 0 };
    for (let index = 0; index < 200; index++) {
      const { elements, meta } = drawSample({ ...recipe('question', 'train'), questions: 8 }, index);
      const objects = meta?.scenes?.[0]?.objects ?? [];
      const said = elements.flatMap((each) => (each.type === 'text' ? [each.text] : []));
      for (const [at, question] of said.entries()) {
        const answer = said[at + 1] ?? '';
        const place = /^where is the (\w+)\?$/.exec(question);
        const object = objects.find(({ shape }) => shape === place?.[1]);
        if (object !== undefined) {
          seen.place++;
          expect([answer.includes('left'), answer.includes('right')]).toEqual([
            object.x < 0.36,
            object.x > 0.64,
          ]);
          expect([answer.includes('top'), answer.includes('bottom')]).toEqual([
            object.y < 0.36,
            object.y > 0.64,
          ]);
        }
        const textured =
          /^is the (\w+) solid, striped or dotted\?$|^what is the texture of the (\w+)\?$/.exec(question);
        if (textured !== null) {
          seen.texture++;
          const shape = textured[1] ?? textured[2];
          expect(objects.filter((each) => each.shape === shape).map(({ texture }) => texture)).toEqual([
            answer,
          ]);
        }
        const spot = /^what shape is ((?:at|in) .+)\?$/.exec(question)?.[1];
        if (spot !== undefined) {
          seen.shapeAt++;
          const there = objects.filter((each) => placePhrase(each) === spot);
          expect(there.map(({ shape }) => shape)).toEqual([answer]);
        }
        const beside =
          /^what is (?:to the |on the )?(left|right|above|over|below|under)(?: of)? the (\w+)\?$/.exec(
            question,
          );
        if (beside !== null) {
          seen.neighbor++;
          const from = objects.find(({ shape }) => shape === beside[2]);
          const other = objects.find((each) => each !== from);
          expect(answer).toBe(`a ${other?.color ?? ''} ${other?.shape ?? ''}`);
          const sides = new Map([
            ['over', 'above'],
            ['under', 'below'],
            ['left', 'left-of'],
            ['right', 'right-of'],
          ]);
          const word = beside[1] ?? '';
          expect(other && from && relationBetween(other, from)).toBe(sides.get(word) ?? word);
        }
      }
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(30);
  });

  it('asks what its tasks say', () => {
    const drawn = { ...recipe('question', 'train'), questions: 4, tasks: { place: 1, neighbor: 1 } };
    const asked = Array.from({ length: 40 }, (_, index) => drawSample(drawn, index)).flatMap(({ elements }) =>
      elements.flatMap((each) => (each.type === 'text' && each.role === 'user' ? [each.text] : [])),
    );
    expect(asked.filter((question) => !/^(?:where|what) is /.test(question))).toEqual([]);
    expect(new Set(asked.map((question) => question.split(' ')[0]))).toEqual(new Set(['where', 'what']));
    expect(() => drawnWorld({ tasks: { color: -1 } })).toThrow(
      "the weight of 'color' must be 0 or more, got -1",
    );
    expect(() => drawnWorld({ tasks: { taste: 1 } as object })).toThrow("tasks has no 'taste'");
  });

  it('takes the colors of pictures whose texts name none, and of no others', () => {
    const drawn = { ...recipe('question', 'train', 32), tasks: { place: 1, color: 1 }, gray: 0.5 };
    const seen = { gray: 0, colored: 0, told: 0 };
    for (let index = 0; index < 120; index++) {
      const [sample, colored] = [drawSample(drawn, index), drawSample({ ...drawn, gray: 0 }, index)];
      const isTold = texts(sample).includes('color');
      const isChanged = JSON.stringify(sample.elements) !== JSON.stringify(colored.elements);
      seen[isTold ? 'told' : isChanged ? 'gray' : 'colored']++;
      if (isTold) expect(isChanged, sample.id).toBe(false);
      const [picture] = sample.elements;
      if (!isChanged || picture?.type !== 'image') continue;
      const { data } = picture.image;
      expect(data.every((value, at) => value === data[at - (at % 3)])).toBe(true);
    }
    expect(Math.min(seen.gray, seen.colored, seen.told)).toBeGreaterThan(15);
  });

  it('draws the same bytes for the same seed and index, whatever came before', () => {
    const drawn = recipe('pair', 'train', 64);
    const [alone, before, after] = [drawSample(drawn, 7), drawSample(drawn, 6), drawSample(drawn, 7)];
    expect(after).toEqual(alone);
    expect(before.elements).not.toEqual(alone.elements);
  });

  it('refuses options that cannot be', () => {
    expect(() => drawnWorld({ size: 4 })).toThrow('[drawn world] size must be an integer of 16..1024, got 4');
    expect(() => drawnWorld({ kinds: { pear: 1 } as never })).toThrow("[drawn world] kinds has no 'pear'");
    expect(() => drawnWorld({ kinds: { pair: -1 } })).toThrow(
      "the weight of 'pair' must be 0 or more, got -1",
    );
    expect(() => drawnWorld({ kinds: { pair: 0 } })).toThrow(
      'kinds needs at least one weight above 0, got none',
    );
    expect(() => drawnWorld().open({ seed: 1, split: 'test' as never })).toThrow("there is no split 'test'");
    expect(() => drawnWorld().open({ seed: 1, split: 'train', position: { at: 3 } })).toThrow(
      '[drawn world] a position is {"index": number}, got {"at":3}',
    );
  });
});

describe('pairs that are alike', () => {
  const groups = Array.from({ length: 20 }, (_, group) =>
    Array.from({ length: 8 }, (_, member) =>
      drawSample({ ...recipe('pair', 'train'), alike: 8 }, 8 * group + member),
    ),
  );
  const shapesOf = (sample: Sample) => sample.meta?.scenes?.[0]?.objects.map(({ shape }) => shape).join(' ');

  it('share everything but their shapes, save where a combination is held out', () => {
    const blank = ({ meta }: Sample) =>
      JSON.stringify(meta?.scenes?.[0], (key, value: unknown) => (key === 'shape' ? null : value));
    const commonest = (values: readonly string[]) =>
      Math.max(...values.map((value) => values.filter((other) => other === value).length));
    // With one object one of eight shapes is held out, with more of them a few.
    const shared = groups.map((group) => commonest(group.map(blank)));
    expect(Math.min(...shared)).toBeGreaterThanOrEqual(3);
    expect(shared.filter((count) => count >= 6).length).toBeGreaterThan(10);
    for (const group of groups) expect(new Set(group.map(shapesOf)).size).toBeGreaterThan(4);
  });

  it('are told truly and never show what is held out', () => {
    for (const sample of groups.flat()) {
      expect(sample.meta?.heldOut).toBeUndefined();
      for (const { shape } of sample.meta?.scenes?.[0]?.objects ?? []) expect(texts(sample)).toContain(shape);
    }
  });

  it('are refused beyond the number of shapes', () => {
    expect(() => drawnWorld({ alike: 9 })).toThrow('alike must be an integer of 1..8, got 9');
  });
});

describe('pairs of few objects', () => {
  const few = (mostObjects: number, alike: number) =>
    Array.from({ length: 80 }, (_, index) =>
      drawSample({ ...recipe('pair', 'train'), mostObjects, alike }, index),
    );

  it.each([1, 8])('show no more than were asked for, and tell of no more, %i alike', (alike) => {
    for (const sample of few(1, alike)) {
      const [scene] = sample.meta?.scenes ?? [];
      expect(scene?.objects).toHaveLength(1);
      const told = shapes.filter((shape) => new RegExp(`\\b${shape}\\b`).test(texts(sample)));
      expect(told).toEqual([scene?.objects[0]?.shape]);
    }
    const counts = few(2, alike).map((sample) => sample.meta?.scenes?.[0]?.objects.length);
    expect(new Set(counts)).toEqual(new Set([1, 2]));
  });

  it('show at least as many as were asked for', () => {
    const counts = Array.from({ length: 40 }, (_, index) => {
      const drawn = { ...recipe('pair', 'train'), leastObjects: 2 };
      return drawSample(drawn, index).meta?.scenes?.[0]?.objects.length;
    });
    expect(new Set(counts)).toEqual(new Set([2, 3]));
  });

  it('are refused beyond three, and at least more than at most', () => {
    expect(() => drawnWorld({ leastObjects: 3, mostObjects: 2 })).toThrow(
      'leastObjects must be an integer of 1..2, got 3',
    );
    expect(() => drawnWorld({ mostObjects: 4 })).toThrow('mostObjects must be an integer of 1..3, got 4');
  });
});
