import { parityCases, runParity, opCases, runCase, compare } from '@emu/program/testing';
import { describe, expect, it } from 'vitest';

import { CpuBackend } from './index.js';

// Every instruction set that this machine has; the table and its tolerances belong to the op list.
const { available } = new CpuBackend().describe();

describe.each(available)('C++ ops on %s', (instructionSet) => {
  const backend = new CpuBackend({ instructionSet });

  it.each([...parityCases({ seed: 1 })].map((parityCase) => [parityCase.name, parityCase] as const))(
    '%s',
    async (_, parityCase) => {
      expect((await runParity(backend, parityCase)).problems).toEqual([]);
    },
  );

  it.each(opCases().map((opCase) => [opCase.name, opCase] as const))(
    "PyTorch's answer: %s",
    async (_, opCase) => {
      const outputs = await runCase(backend, opCase);
      for (const [name, tensor] of Object.entries(opCase.expected)) {
        expect(compare(name, outputs[name], tensor, opCase.tolerance).problem).toBeNull();
      }
    },
  );
});
