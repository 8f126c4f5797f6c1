import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { rotaryEmbedding } from './rotary-embedding.js';

const rotate = (shape: number[], theta: number) =>
  tracing((t) => rotaryEmbedding(t.input('x', shape), t.input('position', [2], 'i32'), { theta }));

describe('rotaryEmbedding', () => {
  it('refuses odd heads, other row counts and a base that is not above 0', () => {
    expect(rotate([2, 1, 7], 10000)).toThrow('[rotaryEmbedding] head width 7 is odd: got f32[2,1,7], i32[2]');
    expect(rotate([3, 1, 8], 10000)).toThrow('[rotaryEmbedding] R is 3 in x but 2 in position');
    expect(rotate([2, 1, 8], 0)).toThrow('[rotaryEmbedding] theta 0 is not a number above 0');
  });

  it('says that it turns back only when it does, so that older programs print alike', () => {
    const attributes = (inverse: boolean) =>
      trace('turn', (t) => {
        const position = t.input('position', [2], 'i32');
        t.output('y', rotaryEmbedding(t.input('x', [2, 1, 8]), position, { theta: 100, inverse }));
      }).calls[0]?.attributes;
    expect(attributes(false)).toEqual({ theta: 100 });
    expect(attributes(true)).toEqual({ theta: 100, inverse: 1 });
  });
});
