import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { permute } from './permute.js';

describe('permute', () => {
  it('refuses axes that are not each of them once', () => {
    const turned = (axes: number[]) => tracing((t) => permute(t.input('x', [2, 3]), axes));
    expect(turned([0, 0])).toThrow('[permute] axes [0,0] is not each of 0..1 once');
    expect(turned([0])).toThrow('[permute] axes [0] is not each of 0..1 once');
    expect(turned([0, 2])).toThrow('[permute] axis 2 is not an axis of f32[2,3]');
    expect(turned([-1, 0])).not.toThrow();
  });
});
