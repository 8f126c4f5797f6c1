import { describe, expect, it } from 'vitest';
import { EmuError, linear, print, ReferenceBackend, trace } from './index.js';

const program = trace('example', (t) => {
  const x = t.input('x', [2, 3]);
  const y = linear(x, t.weight('w', [2, 3]), { bias: t.weight('b', [2]), activation: 'relu' });
  t.output('y', y);
});

describe('trace and print', () => {
  it('writes one line per declaration and call', () => {
    expect(print(program)).toBe(
      [
        'emu-program 1 "example"',
        'input %0 f32[2,3] "x"',
        'weight %1 f32[2,3] linear "w"',
        'weight %2 f32[2] plain "b"',
        'call linear(%0, %1, %2, _) {activation="relu"} -> %3 f32[2,2]',
        'output %3 "y"',
        '',
      ].join('\n'),
    );
  });

  it('names both widths when they differ', () => {
    const wrong = () =>
      trace('wrong', (t) => {
        t.output('y', linear(t.input('x', [2, 4]), t.weight('w', [2, 3])));
      });
    expect(wrong).toThrow('[linear] I is 4 in x but 3 in weight: got f32[2,4], f32[2,3], _, _');
  });
});

describe('the reference executor', () => {
  it('computes act(x Wᵀ + b) and refuses inputs that do not fit', async () => {
    const session = new ReferenceBackend().openSession();
    const load = (name: string, shape: number[], values: number[]) =>
      session.loadWeight({
        name,
        shape,
        dtype: 'f32',
        layout: 'plain',
        source: { kind: 'data', dtype: 'f32', data: Float32Array.from(values) },
      });
    expect(() => session.compile(program)).toThrow('[example] weight "w" is not in the session');
    await load('w', [2, 3], [1, 0, 0, 0, 1, 1]);
    await load('b', [2], [0.5, -10]);
    const executable = session.compile(program);
    const { y } = await executable.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
    expect([...(y as Float32Array)]).toEqual([1.5, 0, 4.5, 1]);
    await expect(executable.run({ x: new Float32Array(5) })).rejects.toThrow(
      '[example] input "x" is a Float32Array of 5, f32[2,3] needs a Float32Array of 6',
    );
    await session.dispose();
    await expect(executable.run({ x: new Float32Array(6) })).rejects.toSatisfy(
      (error) => EmuError.isInstance(error) && error.code === 'MODEL_DISPOSED',
    );
  });
});
