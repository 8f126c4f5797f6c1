import { describe, expect, it } from 'vitest';

import type { GenerationEvent } from '../generate/events.js';
import { Told } from './told.js';

const text = (content: string): GenerationEvent => ({ type: 'text', text: content });
const progress = (imageIndex: number, step: number): GenerationEvent => ({
  type: 'image-progress',
  imageIndex,
  step,
  totalSteps: 3,
});
const row = (index: number): GenerationEvent => ({
  type: 'visual-embedding',
  imageIndex: 0,
  index,
  embedding: new Float32Array(),
});
const started: GenerationEvent = { type: 'started', model: 'models/a', seed: 1 };

describe('events that were told', () => {
  it('are dropped when all come again; text goes on in the middle of a piece', () => {
    const told = new Told();
    const first = [started, text('ab'), text('cd'), row(0), progress(0, 1), progress(0, 2)];
    expect(first.map((event) => told.fresh(event))).toEqual(first);
    expect(told.isBehind).toBe(false);
    told.restart();
    expect(told.isBehind).toBe(true);
    const again = [{ type: 'queued', position: 0 } as const, started, text('abcde'), row(0), row(1)];
    const rest = [progress(0, 2), progress(0, 3), progress(1, 1)];
    expect([...again, ...rest].flatMap((event) => told.fresh(event) ?? [])).toEqual([
      text('e'),
      row(1),
      progress(0, 3),
      progress(1, 1),
    ]);
    expect(told.isBehind).toBe(false);
  });
});
