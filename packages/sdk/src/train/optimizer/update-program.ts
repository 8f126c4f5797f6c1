import {
  accumulate,
  adamw,
  add,
  gradientName,
  multiply,
  scale,
  sumOfSquares,
  trace,
  type Program,
} from '@emu/program';

import type { OptimizerSettings } from './parameter-settings.js';
import { averageName, moment1Name, moment2Name } from './state-names.js';

/** Name of the input that holds the numbers of a group, f32[8] as op `adamw` takes them. */
export const hyperInput = (group: number): string => `hyper.${group}`;

/** Input f32[1]: the part of the way that the average goes towards the parameter, 1 - decay. */
export const averageInput = 'ema.rate';

/** Output f32[1]: the sum of the squares of one parameter's gradient. */
export const squaresOutput = (parameter: string): string => `squares.${parameter}`;

/** Reads the accumulated gradients; what clipping is decided from. */
export function gradientNormProgram({ trained }: OptimizerSettings): Program {
  return trace('gradient norm', (tracer) => {
    for (const { parameter } of trained) {
      const gradient = tracer.state(gradientName(parameter.name), parameter.shape);
      tracer.output(squaresOutput(parameter.name), sumOfSquares(gradient));
    }
  });
}

/**
 * One step of AdamW (Loshchilov and Hutter 2019) over all trained parameters, and after it, if asked for, of their
 * exponential average.
 */
export function updateProgram({ trained, groups }: OptimizerSettings, withAverage: boolean): Program {
  return trace('update', (tracer) => {
    const hypers = groups.map((_, group) => tracer.input(hyperInput(group), [8]));
    const rate = withAverage ? tracer.input(averageInput, [1]) : undefined;
    for (const { parameter, group } of trained) {
      const { name, shape } = parameter;
      const hyper = hypers[group];
      if (hyper === undefined) throw new RangeError(`parameter ${name} is in group ${group}`);
      const states = {
        parameter: tracer.state(name, shape),
        moment1: tracer.state(moment1Name(name), shape),
        moment2: tracer.state(moment2Name(name), shape),
      };
      const updated = adamw(states, tracer.state(gradientName(name), shape), hyper);
      if (rate === undefined) continue;
      const average = tracer.state(averageName(name), shape);
      // average + rate (parameter - average)
      const way = multiply(add(updated, scale(average, { factor: -1 })), rate);
      accumulate(average, way, { keep: 1, factor: 1 });
    }
  });
}

/**
 * Decay of the average in a step, counted from 1: it grows towards `decay` so that the first weights, which know
 * nothing, are soon forgotten: (1 + step) / (10 + step), at most `decay`.
 */
export function averageDecay(decay: number, step: number): number {
  return Math.min(decay, (1 + step) / (10 + step));
}
