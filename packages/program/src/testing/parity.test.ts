import { describe, expect, it } from 'vitest';
import { opNames, ReferenceBackend, type Backend, type Executable, type Session } from '../index.js';
import { runCase } from './op-case.js';
import { parityCases, runParity, type ParityCase } from './parity.js';

const cases = [...parityCases({ seed: 1 })];

describe('the parity table', () => {
  it('names each case once and covers every op', () => {
    expect(new Set(cases.map((entry) => entry.name)).size).toBe(cases.length);
    const covered = new Set(cases.filter((entry) => entry.kind === 'reference').map((entry) => entry.op));
    expect(opNames().filter((name) => !covered.has(name))).toEqual([]);
  });

  it('draws the same numbers for the same seed, others for another', () => {
    const inputs = (seed: number) => {
      const [first] = parityCases({ seed, ops: ['rmsNorm'] });
      return first?.kind === 'reference' ? first.opCase.weights['weight']?.data : undefined;
    };
    expect(inputs(5)).toEqual(inputs(5));
    expect(inputs(5)).not.toEqual(inputs(6));
  });

  it('accepts the reference executor itself, its small cases at least', { timeout: 120_000 }, async () => {
    const backend = new ReferenceBackend();
    const failed: string[] = [];
    for (const entry of cases) {
      if (entry.kind === 'threads') continue;
      const { problems } = await runParity(backend, entry);
      failed.push(...problems.map((problem) => `${entry.name}: ${problem}`));
    }
    expect(failed).toEqual([]);
  });
});

describe('random programs', () => {
  const programs = cases.flatMap((entry) =>
    entry.kind === 'reference' && entry.op === 'program' ? [entry.opCase] : [],
  );

  it('have finite outputs, views among them, and values that wait for a later reader', async () => {
    let views = 0;
    let waiting = 0;
    for (const opCase of programs) {
      const outputs = await runCase(new ReferenceBackend(), opCase);
      for (const data of Object.values(outputs))
        expect((data as Float32Array).every(Number.isFinite)).toBe(true);
      const { calls, outputs: named } = opCase.program;
      const isView = (id: number): boolean =>
        calls.some((call) => call.op === 'reshape' && call.outputs.includes(id));
      if (named.some((output) => isView(output.value))) views++;
      const waits = calls.some((call, index) =>
        calls
          .slice(index + 8)
          .some((later) => later.inputs.some((id) => id !== null && call.outputs.includes(id))),
      );
      if (waits) waiting++;
    }
    expect(views).toBeGreaterThan(10);
    expect(waiting).toBeGreaterThan(10);
  });
});

/** The reference executor with its results spoilt, to see that the table notices. */
class SpoiltBackend implements Backend {
  constructor(readonly spoil: (y: Float32Array, threads: number) => void) {}
  describe = () => new ReferenceBackend().describe();
  openSession(options: { threads?: number } = {}): Session {
    const session = new ReferenceBackend().openSession();
    const compile = session.compile.bind(session);
    session.compile = (program): Executable => {
      const executable = compile(program);
      return {
        ...executable,
        run: async (inputs, runOptions) => {
          const outputs = await executable.run(inputs, runOptions);
          for (const data of Object.values(outputs)) {
            if (data instanceof Float32Array) this.spoil(data, options.threads ?? 1);
          }
          return outputs;
        },
      };
    };
    return session;
  }
}

/** The next number away from zero in f32. */
function nextUp(value: number): number {
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, value);
  bits.setUint32(0, bits.getUint32(0) + 1);
  return bits.getFloat32(0);
}

const named = (name: string): ParityCase => {
  const found = cases.find((entry) => entry.name === name);
  if (found === undefined) throw new Error(`there is no case ${name}`);
  return found;
};

describe('runParity', () => {
  it('says where and by how much a result is off', async () => {
    const off = new SpoiltBackend((y) => (y[8] = 7));
    const { problems } = await runParity(off, named('rmsNorm/5x7'));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(
      /^y\[1,1\] is 7, expected -?[\d.]+ \(.+ of absolute 0.000004, relative 0.000004: f32 sums/,
    );
  });

  it('notices a NaN, a thread that changes bits, a row that depends on its batch, an index let through', async () => {
    const nan = await runParity(new SpoiltBackend((y) => (y[0] = NaN)), named('add/[5]-[1]'));
    expect(nan.problems[0]).toContain('y[0] is NaN, expected');
    const ulp = new SpoiltBackend((y, threads) => {
      if (threads > 1) y[0] = nextUp(y[0] ?? 0);
    });
    const threads = await runParity(ulp, named('add/[5]-[1]'));
    expect(threads.problems[0]).toContain('y differs with two threads, misaligned buffers at element 0:');
    const batch = new SpoiltBackend((y) => (y[0] = y.length));
    const rows = await runParity(batch, named('rows/rmsNorm/17'));
    expect(rows.problems[0]).toContain(
      'row 0 among 1 differs from the same row among 32 at element 0: 17 and 544',
    );
    const open = new SpoiltBackend(() => undefined);
    const session = open.openSession.bind(open);
    open.openSession = () => {
      const opened = session();
      opened.compile = (program) => ({
        program,
        scratchBytes: 0,
        run: () => Promise.resolve({}),
        profile: () => Promise.resolve([]),
        close: () => undefined,
      });
      return opened;
    };
    const accepted = await runParity(open, named('embedding/refuses-id-100'));
    expect(accepted.problems).toEqual(['100 at row 1 was accepted']);
  });
});
