import { describe, expect, it } from 'vitest';
import { EmuError, opNames, trace, linear, type Session } from '@emu/program';
import { CpuBackend } from './index.js';

const backend = new CpuBackend();

const load = (
  session: Session,
  name: string,
  shape: number[],
  values: number[],
  layout: 'plain' | 'linear' = 'plain',
) =>
  session.loadWeight({
    name,
    shape,
    dtype: 'f32',
    layout,
    source: { kind: 'data', dtype: 'f32', data: Float32Array.from(values) },
  });

const program = trace('example', (t) => {
  const y = linear(t.input('x', [2, 3]), t.weight('w', [2, 3]), {
    bias: t.weight('b', [2]),
    activation: 'relu',
  });
  t.output('y', y);
});

describe('the C++ backend', () => {
  it('has the ops of the op list', () => {
    expect([...backend.describe().ops].sort()).toEqual([...opNames()].sort());
  });

  it('runs a traced program', async () => {
    const session = backend.openSession({ threads: 2 });
    expect(() => session.compile(program)).toThrow('[example] weight "w" is not in the session');
    await load(session, 'w', [2, 3], [1, 0, 0, 0, 1, 1], 'linear');
    await load(session, 'b', [2], [0.5, -10]);
    const executable = session.compile(program);
    const { y } = await executable.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
    expect([...(y as Float32Array)]).toEqual([1.5, 0, 4.5, 1]);
    const times = await executable.profile({ x: new Float32Array(6) });
    expect(times.map((time) => time.op)).toEqual(['linear']);
    await session.dispose();
    await expect(executable.run({ x: new Float32Array(6) })).rejects.toSatisfy(
      (error) => EmuError.isInstance(error) && error.code === 'MODEL_DISPOSED',
    );
  });

  it('refuses an instruction set and a thread count that are not there', () => {
    expect(() => new CpuBackend({ instructionSet: 'sse9' }).openSession()).toThrow(
      '[native] this machine cannot run instruction set sse9',
    );
    process.env['EMU_ISA'] = 'avx513';
    try {
      expect(() => new CpuBackend().openSession()).toThrow('this machine cannot run instruction set avx513');
    } finally {
      delete process.env['EMU_ISA'];
    }
    expect(() => backend.openSession({ threads: 0 })).toThrow(
      '[native] threads 0 is not an integer in 1..256',
    );
  });
});
