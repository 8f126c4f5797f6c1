import { describe, expect, it } from 'vitest';
import { ReferenceBackend } from '../reference.js';
import { tracing } from '../testing/evaluate.js';
import { trace } from '../trace.js';
import { accumulate } from './accumulate.js';

describe('accumulate', () => {
  it('forgets NaN with keep 0', async () => {
    const session = new ReferenceBackend().openSession();
    session.createState('sum', [2], 'f32');
    await session.writeState('sum', Float32Array.of(NaN, Infinity));
    const program = trace('assign', (t) => {
      t.output('sum', accumulate(t.state('sum', [2]), t.input('x', [2]), { keep: 0, factor: 2 }));
    });
    const { sum } = await session.compile(program).run({ x: Float32Array.of(1, 2) });
    expect(sum).toEqual(Float32Array.of(2, 4));
  });

  it('refuses another shape, other dtypes and what is no state', () => {
    expect(tracing((t) => accumulate(t.state('s', [2, 3]), t.input('x', [3])))).toThrow(
      '[accumulate] x [3] is not like state [2,3]: got f32[2,3], f32[3]',
    );
    expect(tracing((t) => accumulate(t.state('s', [2], 'bf16'), t.input('x', [2])))).toThrow(
      '[accumulate] state and x must be f32: got bf16[2], f32[2]',
    );
    expect(tracing((t) => accumulate(t.input('s', [2]), t.input('x', [2])))).toThrow(
      '[accumulate] input 0 %0 f32[2] is not a state',
    );
  });
});
