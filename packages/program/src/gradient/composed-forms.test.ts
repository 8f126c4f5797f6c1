import { describe, expect, it } from 'vitest';
import { definitionOf, opNames } from '../ops/index.js';
import { ReferenceBackend } from '../reference.js';
import { Tracer, trace, type Value } from '../trace.js';
import { CaseWriter } from '../testing/case-writer.js';
import { compare, runCase } from '../testing/op-case.js';
import { oneRounding } from '../testing/tolerances.js';
import { differenceCases } from '../testing/difference-cases.js';
import { Replay, typeOf } from './replay.js';

/** The fused form rounds once, the composed one also what it hands on; errors grow by the slope of the activation. */
const tolerance = { ...oneRounding, absolute: 1e-6, reason: 'one more rounding before the activation' };

const forms = [...differenceCases()].map((testCase) => {
  let writer: CaseWriter | undefined;
  const fused = trace(testCase.name, (t) => {
    writer = new CaseWriter(t, 3, testCase.name);
    const built = testCase.build(writer);
    const results: readonly Value[] = 'tracer' in built ? [built] : built;
    results.forEach((y, index) => {
      t.output(`y${index}`, y);
    });
  });
  let replaced = 0;
  const replay = new Replay(fused, new Tracer(testCase.name));
  replay.inBlocks((call) => {
    const composed = definitionOf(call.op).composed?.(replay.inputs(call), call.attributes) ?? null;
    if (composed === null) {
      replay.repeat(call);
      return;
    }
    replaced++;
    replay.define(call, composed);
  });
  replay.outputs();
  const { op } = testCase;
  return {
    op,
    name: `${op}/${testCase.name}`,
    fused,
    composed: replay.tracer.finish(),
    replaced,
    inputs: writer?.inputs ?? {},
  };
});

describe('fused calls and their composed forms', () => {
  const composable = forms.filter(({ replaced }) => replaced > 0);

  it.each(opNames().filter((op) => definitionOf(op).composed !== undefined))('%s is covered', (op) => {
    expect(composable.some((form) => form.op === op)).toBe(true);
  });

  it.each(composable.map((form) => [form.name, form] as const))(
    '%s gives the same',
    async (name, { op, fused, composed, inputs }) => {
      const [expected, got] = await Promise.all(
        [fused, composed].map((program) =>
          runCase(new ReferenceBackend(), { name, op, program, inputs, weights: {}, tolerance }),
        ),
      );
      for (const { name: output, value } of fused.outputs) {
        const data = expected?.[output] ?? new Float32Array();
        expect(
          compare(output, got?.[output], { ...typeOf(fused, value), data }, tolerance).problem,
        ).toBeNull();
      }
    },
  );
});
