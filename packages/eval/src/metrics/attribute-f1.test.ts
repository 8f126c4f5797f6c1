import { drawSample, type DrawnRecipe, type Scene } from '@emu/data';
import { describe, expect, it } from 'vitest';
import { attributeCounts, attributeF1 } from './attribute-f1.js';
import { parseCaption } from './caption-parser.js';

const scene: Scene = {
  background: 'tan',
  gradient: 0,
  style: 'night',
  objects: [
    { shape: 'circle', color: 'red', size: 'small', texture: 'striped', x: 0.2, y: 0.5, radius: 0.12 },
    { shape: 'cross', color: 'blue', size: 'large', texture: 'solid', x: 0.7, y: 0.5, radius: 0.2 },
  ],
};

describe('attribute F1', () => {
  it('reads every paraphrase of the grammar back: all captions of true scenes score 1', () => {
    const recipe: DrawnRecipe = {
      name: 'd',
      size: 16,
      kinds: { pair: 1 },
      shots: [0],
      classes: 3,
      examples: { pictures: 1 },
      alike: 1,
      leastObjects: 1,
      mostObjects: 3,
      questions: 1,
      gray: 0,
      seed: 2,
      split: 'evaluation',
    };
    for (let index = 0; index < 400; index++) {
      const sample = drawSample(recipe, index);
      const [drawn] = sample.meta?.scenes ?? [];
      for (const caption of sample.meta?.references ?? []) {
        if (drawn !== undefined) expect(attributeF1([{ caption, scene: drawn }]), caption).toBe(1);
      }
    }
  });

  it('counts what is wrong, missing and extra', () => {
    // circle, cross, two colours, stripes, relation, style
    expect(attributeCounts('a red striped circle left of a blue cross at night.', scene)).toEqual({
      claimed: 7,
      expected: 7,
      correct: 7,
    });
    expect(attributeCounts('a small red circle with stripes right of a green cross.', scene)).toEqual({
      claimed: 7,
      expected: 8,
      correct: 5,
    });
    expect(attributeCounts('', scene)).toEqual({ claimed: 0, expected: 7, correct: 0 });
    expect(attributeCounts('a large red circle.', scene)).toEqual({ claimed: 3, expected: 7, correct: 2 });
    expect(attributeF1([{ caption: 'nothing at all', scene }])).toBe(0);
  });

  it('takes a repeated object once', () => {
    expect(attributeCounts('a red circle and a red circle', scene).correct).toBe(2);
  });

  it('tells places and orders from relations', () => {
    expect(parseCaption('a red circle at the left').relation).toBeNull();
    expect(parseCaption('a red circle, a blue star from left to right').relation).toBeNull();
    expect(parseCaption('a red circle to the right of a blue star').relation).toBe('right-of');
    expect(parseCaption('there are two crosses').objects).toEqual([
      { shape: 'cross', color: null, size: null, texture: null },
    ]);
  });
});
