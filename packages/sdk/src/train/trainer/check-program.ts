import { EmuError, sameShape, type Program } from '@emu/program';

import type { TrainedModel } from '../task.js';

/**
 * Holds a task to its word: the loss is there, and every weight the program reads is a parameter of the same shape.
 * @throws EmuError INVALID_CONFIG naming what contradicts.
 */
export function checkProgram(task: TrainedModel, program: Program): void {
  const loss = program.outputs.find(({ name }) => name === 'loss');
  const type = loss === undefined ? undefined : program.values[loss.value];
  if (type?.dtype !== 'f32' || !sameShape(type.shape, [1])) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[train] program ${program.name} of ${task.name} has no output "loss" of f32[1]`,
      { details: { program: program.name, outputs: program.outputs.map(({ name }) => name) } },
    );
  }
  const shapes = new Map(task.parameters.map(({ name, shape }) => [name, shape]));
  for (const { name, value } of program.weights) {
    const declared = shapes.get(name);
    const read = program.values[value]?.shape ?? [];
    if (declared !== undefined && sameShape(declared, read)) continue;
    const text = declared === undefined ? 'no such parameter' : `a parameter [${declared.join(',')}]`;
    throw new EmuError(
      'INVALID_CONFIG',
      `[train] program ${program.name} reads weight "${name}" [${read.join(',')}]; ${task.name} has ${text}`,
      { details: { program: program.name, weight: name, shape: read, declared } },
    );
  }
}
