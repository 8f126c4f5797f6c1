/** One query of one head against the keys it sees. Callbacks hide how keys are stored. */
export interface AttendedRow {
  /** Head width K. */
  readonly width: number;
  readonly keyCount: number;
  readonly scale: number;
  readonly query: (i: number) => number;
  /** Element i of key `s`. */
  readonly key: (s: number, i: number) => number;
  readonly value: (s: number, i: number) => number;
  readonly bias: (s: number) => number;
  readonly write: (i: number, value: number) => void;
}

/** softmax(scale · q·k + bias) · v in double precision; zeros where no key is visible or every score is -Infinity. */
export function attendRow(row: AttendedRow): void {
  const { width, keyCount } = row;
  const scores = new Float64Array(keyCount);
  const sums = new Float64Array(width);
  let largest = -Infinity;
  for (let s = 0; s < keyCount; s++) {
    let dot = 0;
    for (let i = 0; i < width; i++) dot += row.query(i) * row.key(s, i);
    const score = dot * row.scale + row.bias(s);
    scores[s] = score;
    largest = Math.max(largest, score);
  }
  let total = 0;
  if (largest !== -Infinity) {
    for (let s = 0; s < keyCount; s++) {
      const weight = Math.exp((scores[s] as number) - largest);
      total += weight;
      for (let i = 0; i < width; i++) sums[i] = (sums[i] as number) + weight * row.value(s, i);
    }
  }
  for (let i = 0; i < width; i++) row.write(i, total === 0 ? 0 : (sums[i] as number) / total);
}

/** log(sum(exp(x))) as the sum of two numbers, so that a difference to x loses nothing when x is huge. */
export interface LogSumExp {
  readonly largest: number;
  /** log(sum(exp(x - largest))), in 0..log(count). */
  readonly excess: number;
}

/** log(sum(exp(x))) of `count` elements from `start`, in double precision and safe from overflow. */
export function logSumExp(x: ArrayLike<number>, start: number, count: number): LogSumExp {
  let largest = -Infinity;
  for (let i = 0; i < count; i++) largest = Math.max(largest, x[start + i] as number);
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp((x[start + i] as number) - largest);
  return { largest, excess: Math.log(sum) };
}
