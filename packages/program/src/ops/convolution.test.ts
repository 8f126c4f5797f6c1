import { describe, expect, it } from 'vitest';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { convolution, type ConvolutionOptions } from './convolution.js';

const convolve = (picture: number[], kernel: number[], options: ConvolutionOptions = {}) =>
  tracing((t) => convolution(t.input('x', picture), t.weight('w', kernel), options));

describe('convolution', () => {
  it('refuses kernels, strides and paddings that do not fit', () => {
    expect(convolve([1, 4, 4, 3], [8, 2, 3, 3])).toThrow('[convolution] C is 3 in x but 2 in weight');
    expect(convolve([1, 2, 4, 3], [8, 3, 4, 3], { padding: [0, 1, 0, 0] })).toThrow(
      '[convolution] kernel 4x3 does not fit the padded picture 3x4: got f32[1,2,4,3], f32[8,3,4,3], _, _',
    );
    expect(convolve([1, 4, 4, 3], [8, 3, 3, 0])).toThrow('[convolution] kernel 3x0 does not fit');
    expect(convolve([1, 4, 4, 3], [8, 3, 3, 3], { stride: 0 })).toThrow(
      '[convolution] stride 0 is not an integer of at least 1',
    );
    expect(convolve([1, 4, 4, 3], [8, 3, 3, 3], { padding: -1 })).toThrow(
      '[convolution] padding [-1,-1,-1,-1] is not four integers of at least 0: top, bottom, left, right',
    );
    expect(convolve([4, 4, 3], [8, 3, 3, 3])).toThrow('[convolution] x has 3 axes, needs [B,H,W,C]');
  });

  it('refuses a residual of another shape than the result', () => {
    const build = tracing((t) =>
      convolution(t.input('x', [1, 4, 4, 3]), t.weight('w', [8, 3, 3, 3]), {
        residual: t.input('r', [1, 4, 4, 8]),
      }),
    );
    expect(build).toThrow('[convolution] residual is not [1,2,2,8]: got');
  });

  it('asks the backend to pack its weight', () => {
    const program = trace('p', (t) => {
      t.output('y', convolution(t.input('x', [1, 4, 4, 3]), t.weight('w', [8, 3, 3, 3]), { padding: 1 }));
    });
    expect(program.weights[0]?.layout).toBe('convolution');
    expect(program.calls[0]?.attributes).toEqual({ stride: 1, padding: [1, 1, 1, 1], activation: 'none' });
  });
});
