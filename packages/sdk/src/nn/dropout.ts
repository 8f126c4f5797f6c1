import { dropout, type Value } from '@emu/program';

/** Drops elements while a model is trained; does nothing while it runs. */
export type Dropout = (x: Value) => Value;

/** No element is ever dropped. */
export const noDropout: Dropout = (x) => x;

/**
 * Drops elements with probability `rate` and scales the others by 1 / (1 - rate). Every place that it is used at draws
 * its own numbers. key i32[2]: the key of the random numbers, another one for every step; rate 0..1, 1 excluded.
 * firstStream: where the places of this network begin to count, for programs that hold several.
 */
export function dropoutOf(key: Value, rate: number, firstStream = 0): Dropout {
  let stream = firstStream;
  return (x) => dropout(x, key, { rate, stream: stream++ });
}
