import { describe, expect, it } from 'vitest';
import { ReferenceBackend } from '../reference.js';
import { goldenNetworks, gradientProblems } from '../testing/networks.js';
import { runCase } from '../testing/op-case.js';
import { exact } from '../testing/tolerances.js';
import { gradient } from './gradient.js';

describe.each(goldenNetworks().map((network) => [network.name, network] as const))('%s', (name, network) => {
  const { program, inputs, weights, gradients } = network;
  const of = Object.keys(gradients);
  const run = (recompute: boolean) => {
    const withGradients = gradient(program, { loss: 'loss', of, into: 'outputs', recompute });
    const opCase = { name, op: 'program', program: withGradients, inputs, weights, tolerance: exact };
    return runCase(new ReferenceBackend(), opCase);
  };

  it('has the loss and the gradients of PyTorch, for every parameter', async () => {
    expect(of.toSorted()).toEqual([...new Set(program.weights.map((weight) => weight.name))].toSorted());
    expect(gradientProblems(network, await run(false), 2e-5)).toEqual([]);
  });

  it('has the same bits when blocks are computed again', async () => {
    expect(await run(true)).toEqual(await run(false));
  });
});
