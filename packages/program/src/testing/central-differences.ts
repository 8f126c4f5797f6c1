// Derivatives by differences, for tests: what a gradient rule is held to.
import { ReferenceBackend } from '../reference.js';
import { type TensorData } from '../tensor.js';
import { trace, type Value } from '../trace.js';
import { CaseWriter } from './case-writer.js';
import { multiply } from '../ops/multiply.js';
import { sumTo } from '../ops/sum-to.js';
import type { Program } from '../program.js';
import { gradient, gradientName } from '../gradient/gradient.js';
import { constant } from '../gradient/sums.js';
import { add } from '../ops/add.js';

/** One call, or a few, whose gradients are checked by every element of every f32 input. */
export interface DifferencesCase {
  readonly op: string;
  readonly name: string;
  /** Declares f32 inputs with `floats` (the others are not differentiated) and returns what is summed into the loss. */
  readonly build: (writer: CaseWriter) => Value | readonly Value[];
}

/** Element of a gradient that is not what differences say, or null when all are. */
export interface Disagreement {
  readonly input: string;
  readonly element: number;
  readonly rule: number;
  readonly differences: number;
}

const step = 2 ** -5;
/** Rounding of the f32 results (about 1e-7 · sum / step) and the fifth derivative (step⁴) are both below it. */
const tolerance = 3e-4;
const mostElements = 40;

/** The loss is Σ weight · y over all results, with random weights so that no two elements can change places. */
function lossProgram(testCase: DifferencesCase): {
  program: Program;
  inputs: Record<string, TensorData>;
  outputs: number;
} {
  let inputs: Record<string, TensorData> = {};
  let outputs = 0;
  const program = trace(`${testCase.op}/${testCase.name}`, (t) => {
    const writer = new CaseWriter(t, 7, `${testCase.op}/${testCase.name}`);
    const built = testCase.build(writer);
    const results: readonly Value[] = 'tracer' in built ? [built] : built;
    let loss = constant(t, [1], 0);
    results.forEach((y, index) => {
      t.output(`y${index}`, y);
      const weighted = multiply(y, writer.floats(`weight${index}`, y.shape));
      loss = add(loss, sumTo(weighted, [1]));
    });
    t.output('loss', loss);
    inputs = writer.inputs;
    outputs = results.length;
  });
  return { program, inputs, outputs };
}

/** Compares the gradients of a case with central differences of fourth order on the reference executor. */
export async function firstDisagreement(testCase: DifferencesCase): Promise<Disagreement | null> {
  const { program, inputs, outputs } = lossProgram(testCase);
  const names = program.inputs
    .filter(({ value }) => program.values[value]?.dtype === 'f32')
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('weight'));
  const session = new ReferenceBackend().openSession();
  const withGradients = gradient(program, { loss: 'loss', of: names, into: 'outputs' });
  const forward = session.compile(program);
  const rules = await session.compile(withGradients).run(inputs);
  // Summed in double precision: the f32 loss would round away what the differences are made of.
  const loss = async (changed: Record<string, TensorData>): Promise<number> => {
    const results = await forward.run(changed);
    let sum = 0;
    for (let index = 0; index < outputs; index++) {
      const [y, weight] = [results[`y${index}`], inputs[`weight${index}`]];
      y?.forEach((value, i) => (sum += Number(value) * Number(weight?.[i])));
    }
    return sum;
  };
  for (const name of names) {
    const rule = rules[gradientName(name)];
    const data = inputs[name];
    if (rule?.length !== data?.length || !(data instanceof Float32Array)) {
      throw new Error(`${program.name}: gradient of ${name} has ${rule?.length} elements`);
    }
    const at = async (element: number, distance: number): Promise<number> => {
      const moved = data.slice();
      moved[element] = (data[element] ?? 0) + distance;
      return loss({ ...inputs, [name]: moved });
    };
    const stride = Math.max(1, Math.floor(data.length / mostElements));
    for (let element = 0; element < data.length; element += stride) {
      const near = (await at(element, step)) - (await at(element, -step));
      const far = (await at(element, 2 * step)) - (await at(element, -2 * step));
      const differences = (8 * near - far) / (12 * step);
      const ours = Number(rule?.[element]);
      const allowed = tolerance * Math.max(1, Math.abs(differences));
      if (!(Math.abs(ours - differences) <= allowed))
        return { input: name, element, rule: ours, differences };
    }
  }
  await session.dispose();
  return null;
}
