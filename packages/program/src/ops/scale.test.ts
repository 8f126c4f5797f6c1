import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { scale } from './scale.js';

describe('scale', () => {
  it('refuses factors that are no numbers', () => {
    const by = (options: { factor?: number; offset?: number }) =>
      tracing((t) => scale(t.input('x', [2]), options));
    expect(by({ factor: NaN })).toThrow('[scale] factor NaN is not a finite number');
    expect(by({ offset: Infinity })).toThrow('[scale] offset Infinity is not a finite number');
  });

  it('writes both attributes, so that programs print alike', () => {
    const program = trace('p', (t) => {
      t.output('y', scale(t.input('x', [2]), { factor: 2 }));
    });
    expect(program.calls[0]?.attributes).toEqual({ factor: 2, offset: 0 });
  });
});
