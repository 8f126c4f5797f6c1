import {
  byteLength,
  definitionOf,
  elementCount,
  EmuError,
  type Call,
  type Program,
  type Shape,
  type TensorType,
  type ValueId,
} from '@emu/program';

import type { CheckpointTensor } from '../nn/parameters.js';
import { checkpointComponents } from './components.js';
import type { EmuConfig } from './config.js';

/*
 * What a model costs, read off its own programs and checkpoint lists, so that an estimate cannot drift from what
 * runs: parameters, floating-point operations, bytes.
 */

/** Numbers in a list of tensors. */
export function parameterCount(tensors: readonly CheckpointTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** Parameters of each part of Emu that is used; what checkpoints hold besides is not counted. */
export interface EmuParameterCounts {
  readonly visual: number;
  readonly visualNorm: number;
  readonly causalTransformer: number;
  /** With both token tables, without adapters and without the regression head. */
  readonly llama: number;
  readonly adapters: number;
  readonly regressionHead: number;
  readonly unet: number;
  readonly vae: number;
  readonly safetyChecker: number;
}

/** Parameters by part; 0 for a part that the configuration lacks. */
export function emuParameterCounts(config: EmuConfig): EmuParameterCounts {
  const components = checkpointComponents(config);
  const count = (component: string, belongs: (name: string) => boolean = () => true): number =>
    parameterCount(
      components.find(({ name }) => name === component)?.tensors.filter(({ name }) => belongs(name)) ?? [],
    );
  const isAdapter = (name: string): boolean => name.includes('.lora_');
  const isRegression = (name: string): boolean => name.includes('stu_regress_head');
  return {
    visual: count('multimodal', (name) => name.startsWith('visual.')),
    visualNorm: count('multimodal', (name) => name.startsWith('ln_visual.')),
    causalTransformer: count('multimodal', (name) => name.startsWith('cformer.')),
    llama: count(
      'multimodal',
      (name) => name.startsWith('decoder.') && !isAdapter(name) && !isRegression(name),
    ),
    adapters: count('multimodal', isAdapter),
    regressionHead: count('multimodal', isRegression),
    unet: count('unet'),
    vae: count('vae'),
    safetyChecker: count('safetyChecker'),
  };
}

type CallShapes = readonly (Shape | null)[];

/** Multiplications and additions of the ops that dominate; every other op is left out as negligible. */
const productWork: Readonly<
  Record<string, (inputs: CallShapes, output: Shape, positions: number) => number>
> = {
  linear: (inputs, output) => 2 * elementCount(output) * side(inputs[1], 1),
  convolution: (inputs, output) => 2 * elementCount(output) * elementCount((inputs[1] ?? []).slice(1)),
  // q·k and the weighted sum of v; a causal mask is not discounted.
  attention: (inputs, output) => 4 * elementCount(output) * side(inputs[1], 1),
  cachedAttention: (_inputs, output, positions) => 4 * elementCount(output) * positions,
  matmul: ([a, b], output) => productFlops(a, b, output),
  accumulateMatmul: ([, a, b], output) => productFlops(a, b, output),
  convolutionGradientInput: (inputs) =>
    2 * elementCount(inputs[0] ?? []) * elementCount((inputs[1] ?? []).slice(1)),
  convolutionGradientWeight: (inputs, output) =>
    2 * elementCount(inputs[1] ?? []) * elementCount(output.slice(1)),
  // Scores once more, then a product for each of dv, dp, dq and dk.
  attentionGradient: (inputs) => 10 * elementCount(inputs[0] ?? []) * side(inputs[1], 1),
};

/** The sum runs over what a and b share, whichever way they lie. */
function productFlops(
  a: Shape | null | undefined,
  b: Shape | null | undefined,
  [rows = 0, columns = 0]: Shape,
): number {
  return 2 * Math.sqrt(elementCount(a ?? []) * elementCount(b ?? []) * rows * columns);
}

function side(shape: Shape | null | undefined, axis: number): number {
  return shape?.[axis] ?? 0;
}

/**
 * Floating-point operations of one run, a multiplication and an addition counting as two.
 * `cachedPositions`: positions that a row of the decoder attends to, on average.
 */
export function programFlops(program: Program, cachedPositions = 0): number {
  return program.calls.reduce((sum, call) => sum + callFlops(program, call, cachedPositions), 0);
}

function callFlops(program: Program, call: Call, cachedPositions: number): number {
  const shapeOf = (id: ValueId): Shape => program.values[id]?.shape ?? [];
  const output = call.outputs[0];
  if (output === undefined || !Object.hasOwn(productWork, call.op)) return 0;
  const inputs = call.inputs.map((id) => (id === null ? null : shapeOf(id)));
  return productWork[call.op]?.(inputs, shapeOf(output), cachedPositions) ?? 0;
}

/** Bytes that a session needs, by what they are for. */
export interface MemoryPlan {
  readonly weightBytes: number;
  /** States: the key/value cache. */
  readonly cacheBytes: number;
  /** The most that intermediate values take at any call of any of the programs. */
  readonly scratchBytes: number;
  readonly totalBytes: number;
}

/**
 * What a session needs to run these programs: weights and states that they share count once, and only one
 * program runs at a time. Padding and alignment of a backend are not counted.
 */
export function memoryPlan(programs: readonly Program[]): MemoryPlan {
  const weights = new Map<string, number>();
  const states = new Map<string, number>();
  for (const program of programs) {
    for (const { name, value } of program.weights) weights.set(name, valueBytes(program, value));
    for (const { name, value } of program.states) states.set(name, valueBytes(program, value));
  }
  const weightBytes = sum(weights.values());
  const cacheBytes = sum(states.values());
  const scratchBytes = Math.max(0, ...programs.map(peakScratchBytes));
  return { weightBytes, cacheBytes, scratchBytes, totalBytes: weightBytes + cacheBytes + scratchBytes };
}

/**
 * The most bytes of intermediate values alive at once when each is freed after its last use; inputs and outputs
 * of the run included, views and states that are updated in place not counted again.
 */
export function peakScratchBytes(program: Program): number {
  const owner = memoryOwners(program);
  const lastUse = new Map<ValueId, number>();
  program.calls.forEach((call, index) => {
    for (const id of [...call.inputs, ...call.outputs]) if (id !== null) lastUse.set(owner(id), index);
  });
  for (const { value } of program.outputs) lastUse.set(owner(value), program.calls.length);
  const held = new Set([...program.weights, ...program.states].map(({ value }) => value));
  const notScratch = new Set([...held, ...program.inputs.map(({ value }) => value)]);
  /** The value whose memory the first output of a call takes over, as backends do where nothing reads it any more. */
  const leftInput = (call: Call, index: number): ValueId | undefined => {
    const [input, ...others] = call.inputs.map((id) => (id === null ? -1 : owner(id)));
    if (definitionOf(call.op).reusesInput !== true || input === undefined) return undefined;
    const isScratch = input >= 0 && !notScratch.has(input) && !others.includes(input);
    return isScratch && lastUse.get(input) === index ? input : undefined;
  };
  let alive = sum(program.inputs.map(({ value }) => valueBytes(program, value)));
  let peak = alive;
  program.calls.forEach((call, index) => {
    for (const id of call.outputs) if (owner(id) === id) alive += valueBytes(program, id);
    const left = leftInput(call, index);
    if (left !== undefined) alive -= valueBytes(program, left);
    peak = Math.max(peak, alive);
    for (const id of new Set(
      [...call.inputs, ...call.outputs].map((each) => (each === null ? -1 : owner(each))),
    )) {
      if (id >= 0 && id !== left && !held.has(id) && lastUse.get(id) === index)
        alive -= valueBytes(program, id);
    }
  });
  return peak;
}

/** The value whose memory a value lives in: itself, or what it is a view of. */
function memoryOwners(program: Program): (id: ValueId) => ValueId {
  const viewed = new Map<ValueId, ValueId>();
  for (const call of program.calls) {
    const [source] = call.inputs;
    const [output] = call.outputs;
    if (definitionOf(call.op).aliasesInput !== true || source == null || output === undefined) continue;
    viewed.set(output, viewed.get(source) ?? source);
  }
  return (id) => viewed.get(id) ?? id;
}

function valueBytes(program: Program, id: ValueId): number {
  return byteLength(program.values[id] as TensorType);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** `8.1 GiB: weights 7.4, cache 0.4, scratch 0.3`. */
export function memoryPlanText(plan: MemoryPlan): string {
  const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
  const { weightBytes, cacheBytes, scratchBytes, totalBytes } = plan;
  return `${gib(totalBytes)} GiB: weights ${gib(weightBytes)}, cache ${gib(cacheBytes)}, scratch ${gib(scratchBytes)}`;
}

/**
 * Refuses a plan that does not fit.
 * @throws EmuError OUT_OF_MEMORY with the plan and what there is.
 */
export function requireMemory(plan: MemoryPlan, availableBytes: number): void {
  if (plan.totalBytes <= availableBytes) return;
  throw new EmuError(
    'OUT_OF_MEMORY',
    `[memory] needs ${memoryPlanText(plan)}; there are ${(availableBytes / 2 ** 30).toFixed(1)} GiB`,
    {
      hint: 'Use bf16 weights, fewer or shorter sequences, or a smaller picture.',
      details: { ...plan, availableBytes },
    },
  );
}
