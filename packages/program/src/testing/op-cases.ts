import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Attributes } from '../program.js';
import type { DType, Shape, Tensor, TensorData } from '../tensor.js';
import { trace, type Tracer, type Value } from '../trace.js';
import type { OpCase, Tolerance } from './op-case.js';
import { readTestTensors } from './safetensors.js';

/** A case with the answers of PyTorch. */
export interface GoldenCase extends OpCase {
  readonly expected: Readonly<Record<string, Tensor>>;
}

interface Declared {
  readonly name: string;
  readonly role: 'input' | 'weight' | 'state';
  /** Stored values of an input or weight. */
  readonly tensor?: string;
  /** Type of a state, which starts as zeros. */
  readonly dtype?: DType;
  readonly shape?: Shape;
}

interface StoredCase {
  readonly name: string;
  readonly op: string;
  readonly declared: readonly Declared[];
  readonly calls: readonly {
    readonly op: string;
    readonly inputs: readonly (string | null)[];
    readonly attributes: Attributes;
    /** What later calls and outputs call the result, or the results. */
    readonly output: string | readonly string[];
  }[];
  readonly outputs: readonly { readonly name: string; readonly tensor: string }[];
  readonly tolerance: Tolerance;
}

/** The folder testdata/ops of the checkout this module lies in. */
function storedCasesFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const candidate = join(folder, 'testdata', 'ops');
    if (existsSync(join(candidate, 'ops.json'))) return candidate;
    if (folder === dirname(folder)) throw new Error('testdata/ops lies in a checkout of the repository only');
  }
}

/**
 * Every case of testdata/ops, ready to run on any backend. A generator in tools/goldens makes two files there:
 * NAME.json with the calls and NAME.safetensors with their tensors.
 */
export function opCases(folder = storedCasesFolder()): readonly GoldenCase[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  return files.toSorted().flatMap((file) => {
    const tensors = readTestTensors(join(folder, file.replace(/\.json$/, '.safetensors')));
    const { cases } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { cases: StoredCase[] };
    return cases.map((stored) => goldenCase(stored, tensors));
  });
}

function goldenCase(stored: StoredCase, tensors: ReadonlyMap<string, Tensor>): GoldenCase {
  const tensor = (name: string | undefined): Tensor => {
    const found = name === undefined ? undefined : tensors.get(name);
    if (found === undefined) throw new Error(`${stored.name}: there is no tensor "${name}"`);
    return found;
  };
  const named = (role: Declared['role']): (readonly [string, Tensor])[] =>
    stored.declared.filter((entry) => entry.role === role).map((entry) => [entry.name, tensor(entry.tensor)]);
  const inputs = named('input').map(([name, { data }]): [string, TensorData] => [name, data]);
  return {
    name: stored.name,
    op: stored.op,
    program: trace(stored.name, (t) => {
      writeCalls(t, stored, tensor);
    }),
    inputs: Object.fromEntries(inputs),
    weights: Object.fromEntries(named('weight')),
    tolerance: stored.tolerance,
    expected: Object.fromEntries(stored.outputs.map((output) => [output.name, tensor(output.tensor)])),
  };
}

function writeCalls(t: Tracer, stored: StoredCase, tensor: (name: string | undefined) => Tensor): void {
  const values = new Map<string, Value>();
  const value = (name: string): Value => {
    const found = values.get(name);
    if (found === undefined) throw new Error(`${stored.name}: there is no value "${name}"`);
    return found;
  };
  for (const { name, role, tensor: source, dtype, shape } of stored.declared) {
    if (role === 'state') values.set(name, t.state(name, shape ?? [], dtype));
    else values.set(name, t[role](name, tensor(source).shape, tensor(source).dtype));
  }
  for (const call of stored.calls) {
    const inputs = call.inputs.map((name) => (name === null ? null : value(name)));
    const names = typeof call.output === 'string' ? [call.output] : call.output;
    t.call(call.op, inputs, call.attributes).forEach((output, index) => {
      values.set(names[index] ?? `output ${index} of ${call.op}`, output);
    });
  }
  for (const { name } of stored.outputs) t.output(name, value(name));
}
