import {
  accumulate,
  EmuError,
  linear,
  ReferenceBackend,
  trace,
  type Backend,
  type Session,
} from '@emu/program';
import { afterEach, describe, expect, it } from 'vitest';

import { CpuBackend } from './index.js';
import { longInput, longProgram, longWeight, longWidth } from './testing/long-program.js';

const sessions: Session[] = [];
afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.dispose()));
});

function open(backend: Backend): Session {
  const session = backend.openSession({ threads: 2 });
  sessions.push(session);
  return session;
}

/** total = total + x, and what the total is then. */
const adding = trace('adding', (t) => {
  const total = t.state('total', [2, 3]);
  t.output('total', accumulate(total, t.input('x', [2, 3])));
});

async function failure(run: Promise<unknown>): Promise<string> {
  const error: unknown = await run.catch((reason: unknown) => reason);
  return EmuError.isInstance(error) ? `${error.code} ${error.message}` : 'no EmuError';
}

describe.each([
  ['C++', new CpuBackend()],
  ['reference', new ReferenceBackend()],
] as const)('states of the %s backend', (_, backend) => {
  it('are written and read in order with the runs around them, as copies', async () => {
    const session = open(backend);
    session.createState('total', [2, 3], 'f32');
    const executable = session.compile(adding);
    const x = Float32Array.of(1, 2, 3, 4, 5, 6);
    const into = new Float32Array(6);
    const [, first, , second, run] = await Promise.all([
      executable.run({ x }),
      session.readState('total'),
      session.writeState('total', new Float32Array(6).fill(10)),
      session.readState('total', into),
      executable.run({ x }),
    ]);
    expect([...(first as Float32Array)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(second).toBe(into);
    expect([...into]).toEqual([10, 10, 10, 10, 10, 10]);
    expect([...(run['total'] as Float32Array)]).toEqual([11, 12, 13, 14, 15, 16]);
    // What was read does not follow the state.
    (first as Float32Array).fill(0);
    expect([...((await session.readState('total')) as Float32Array)]).toEqual([11, 12, 13, 14, 15, 16]);
  });

  it('may be bf16, whole numbers or empty', async () => {
    const session = open(backend);
    session.createState('half', [3], 'bf16');
    session.createState('count', [2], 'i32');
    session.createState('nothing', [0, 4], 'f32');
    await session.writeState('half', Uint16Array.of(0x3f80, 0x4000, 0));
    await session.writeState('count', Int32Array.of(-1, 7));
    await session.writeState('nothing', new Float32Array(0));
    expect(await session.readState('half')).toEqual(Uint16Array.of(0x3f80, 0x4000, 0));
    expect(await session.readState('count')).toEqual(Int32Array.of(-1, 7));
    expect(await session.readState('nothing')).toEqual(new Float32Array(0));
  });

  it('are read as weights are, and what is written counts for the next run', async () => {
    const session = open(backend);
    session.createState('w', [2, 3], 'f32');
    const executable = session.compile(
      trace('product', (t) => {
        t.output('y', linear(t.input('x', [1, 3]), t.state('w', [2, 3])));
      }),
    );
    const x = Float32Array.of(1, 10, 100);
    await session.writeState('w', Float32Array.of(1, 2, 3, 4, 5, 6));
    expect((await executable.run({ x }))['y']).toEqual(Float32Array.of(321, 654));
    await session.writeState('w', Float32Array.of(0, 0, 1, 1, 0, 0));
    expect((await executable.run({ x }))['y']).toEqual(Float32Array.of(100, 1));
  });

  it('are refused by unknown names, by data that does not fit, and after the end', async () => {
    const session = open(backend);
    session.createState('total', [2, 3], 'f32');
    const unknown = 'MODEL_NOT_READY [session] there is no state "totl"';
    expect(await failure(session.readState('totl'))).toBe(unknown);
    expect(await failure(session.writeState('totl', new Float32Array(6)))).toBe(unknown);
    const size = 'TENSOR_SHAPE_MISMATCH [session] state "total" f32[2,3] needs a Float32Array of 6, got a ';
    expect(await failure(session.writeState('total', new Float32Array(5)))).toBe(`${size}Float32Array of 5`);
    expect(await failure(session.readState('total', new Int32Array(6)))).toBe(`${size}Int32Array of 6`);
    session.dropState('total');
    expect(await failure(session.readState('total'))).toBe(unknown.replace('totl', 'total'));
    await session.dispose();
    const disposed = 'MODEL_DISPOSED [session] the session has been disposed';
    expect(await failure(session.readState('total'))).toBe(disposed);
    expect(await failure(session.writeState('total', new Float32Array(6)))).toBe(disposed);
  });
});

describe('a state of the C++ backend', () => {
  it('that is dropped while its copy waits behind a run is copied all the same', async () => {
    const session = open(new CpuBackend());
    const source = { kind: 'data', dtype: 'f32', data: longWeight() } as const;
    const shape = [longWidth, longWidth];
    await session.loadWeight({ name: 'w', shape, dtype: 'f32', layout: 'linear', source });
    session.createState('total', [2, 3], 'f32');
    await session.writeState('total', new Float32Array(6).fill(3));
    const long = session.compile(longProgram(10)).run({ x: longInput(0) });
    const copy = session.readState('total');
    session.dropState('total');
    session.createState('total', [2, 3], 'f32');
    expect(await copy).toEqual(new Float32Array(6).fill(3));
    expect(await session.readState('total')).toEqual(new Float32Array(6));
    await long;
  });

  it('is changed by nothing but a state op of distinct states, whoever wrote the program', async () => {
    const session = open(new CpuBackend());
    session.createState('total', [2, 3], 'f32');
    const update = adding.calls[0];
    if (update === undefined) throw new Error('the program has a call');
    const [, x] = update.inputs;
    const onInput = { ...adding, calls: [{ ...update, inputs: [x ?? null, x ?? null] }] };
    expect(() => session.compile(onInput)).toThrow('[accumulate] input 0 is not a state');
    await session.dispose();
  });
});
