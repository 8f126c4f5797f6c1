import {
  gradient,
  gradientName,
  trainable,
  zeroGradients,
  type Program,
  type TensorData,
} from '@emu/program';
import { goldenNetworks, gradientProblems, runCase, type GoldenNetwork } from '@emu/program/testing';
import { describe, expect, it } from 'vitest';

import { CpuBackend } from './index.js';

const backend = new CpuBackend();
/** Kernels sum in f32 where PyTorch's answers were summed in double precision. */
const relative = 2e-4;

type Outputs = Readonly<Record<string, TensorData>>;

function gradientsOf(network: GoldenNetwork, recompute: boolean): Program {
  const of = Object.keys(network.gradients);
  return gradient(network.program, { loss: 'loss', of, into: 'outputs', recompute });
}

function run(network: GoldenNetwork, program: Program, threads: number): Promise<Outputs> {
  const { name, inputs, weights } = network;
  const tolerance = { absolute: 0, relative, reason: 'compared by gradientProblems' };
  return runCase(backend, { name, op: 'program', program, inputs, weights, tolerance }, { threads });
}

/** Two accumulated runs over states that hold the weights, halved. */
async function trained(network: GoldenNetwork): Promise<Outputs> {
  const states = trainable(network.program, { states: () => true });
  const of = Object.keys(network.gradients);
  const step = gradient(states, { loss: 'loss', of, into: 'states', recompute: true });
  const session = backend.openSession();
  try {
    for (const { name, value } of step.states) {
      session.createState(name, step.values[value]?.shape ?? [], 'f32');
      const data = network.weights[name]?.data;
      if (data !== undefined) await session.writeState(name, data);
    }
    await session.compile(zeroGradients(step)).run({});
    const executable = session.compile(step);
    await executable.run(network.inputs);
    const outputs: Record<string, TensorData> = await executable.run(network.inputs);
    for (const name of of) {
      const sum = await session.readState(gradientName(name));
      outputs[gradientName(name)] = Float32Array.from(sum as Float32Array, (value) => value / 2);
    }
    return outputs;
  } finally {
    await session.dispose();
  }
}

describe.each(goldenNetworks().map((network) => [network.name, network] as const))(
  'gradients of the %s on the C++ backend',
  (_, network) => {
    it('are those of PyTorch, for every parameter', async () => {
      expect(gradientProblems(network, await run(network, gradientsOf(network, false), 2), relative)).toEqual(
        [],
      );
    });

    it('have the same bits with recomputation and on another number of threads', async () => {
      const expected = await run(network, gradientsOf(network, false), 2);
      expect(await run(network, gradientsOf(network, true), 2)).toEqual(expected);
      expect(await run(network, gradientsOf(network, false), 1)).toEqual(expected);
    });

    it('accumulate in states, beside weights that are states', async () => {
      expect(gradientProblems(network, await trained(network), relative)).toEqual([]);
    });
  },
);
