import { linear, trace, type Program } from '@emu/program';

export const longRows = 64;
export const longWidth = 1024;

/** A chain of products with one weight, each of 0.13 GFLOP: some milliseconds a call. */
export function longProgram(calls: number): Program {
  return trace(`chain of ${calls}`, (t) => {
    const w = t.weight('w', [longWidth, longWidth]);
    let x = t.input('x', [longRows, longWidth]);
    for (let call = 0; call < calls; call++) x = linear(x, w);
    t.output('y', x);
  });
}

/** A weight under which the chain neither grows nor dies away: a permutation with signs. */
export function longWeight(): Float32Array {
  const w = new Float32Array(longWidth * longWidth);
  for (let row = 0; row < longWidth; row++)
    w[row * longWidth + ((row * 7 + 3) % longWidth)] = row % 2 ? -1 : 1;
  return w;
}

export function longInput(seed: number): Float32Array {
  return Float32Array.from({ length: longRows * longWidth }, (_, index) => Math.sin(index * 0.01 + seed));
}
