// Gradients of values while the backward pass collects them.
import { EmuError } from '../errors.js';
import type { GradientPart, InputGradient } from '../op.js';
import { add } from '../ops/add.js';
import { concat } from '../ops/concat.js';
import { sameShape, typeText, type Shape, type TensorType } from '../tensor.js';
import { Value, type Tracer } from '../trace.js';

/** A constant of one number in every element. */
export function constant(tracer: Tracer, shape: Shape, value: number): Value {
  return tracer.call('fill', [], { shape, value })[0] as Value;
}

/** What has come in for one value so far. */
export class GradientSum {
  /** Sum of what covers the whole value. Added to at once, so that a contribution dies when it has been used. */
  #whole: Value | null = null;
  readonly #parts: GradientPart[] = [];

  constructor(
    readonly tracer: Tracer,
    readonly shape: Shape,
  ) {}

  /** @throws EmuError INTERNAL if the rule of `op` made a gradient of another type than the value has. */
  add(op: string, gradient: Exclude<InputGradient, null>): void {
    if (!(gradient instanceof Value)) {
      checkType(op, { shape: this.#paddedShape(gradient), dtype: gradient.part.dtype }, this.shape);
      this.#parts.push(gradient);
      return;
    }
    checkType(op, gradient, this.shape);
    this.#whole = this.#whole === null ? gradient : add(this.#whole, gradient);
  }

  /** The gradient, null if nothing came in. */
  total(): Value | null {
    const whole = [
      ...(this.#whole === null ? [] : [this.#whole]),
      ...joined(this.tracer, this.shape, this.#parts),
    ];
    return whole.length === 0 ? null : whole.reduce((sum, next) => add(sum, next));
  }

  #paddedShape({ axis, start, part }: GradientPart): Shape {
    const fits = start + (part.shape[axis] ?? 0) <= (this.shape[axis] ?? 0);
    return fits ? part.shape.with(axis, this.shape[axis] ?? 0) : part.shape;
  }
}

function checkType(op: string, { shape, dtype }: TensorType, needed: Shape): void {
  if (dtype === 'f32' && sameShape(shape, needed)) return;
  const [came, wanted] = [typeText({ shape, dtype }), typeText({ shape: needed, dtype: 'f32' })];
  throw new EmuError('INTERNAL', `[gradient] the rule of ${op} made ${came} where ${wanted} is needed`, {
    details: { op },
  });
}

/** Values of the whole shape whose sum is that of all parts: parts that do not overlap share one. */
function joined(tracer: Tracer, shape: Shape, parts: readonly GradientPart[]): readonly Value[] {
  const rows: GradientPart[][] = [];
  for (const part of parts.toSorted((a, b) => a.axis - b.axis || a.start - b.start)) {
    const row = rows.find((others) => {
      const last = others.at(-1);
      return last?.axis === part.axis && endOf(last) <= part.start;
    });
    if (row === undefined) rows.push([part]);
    else row.push(part);
  }
  return rows.map((row) => fullWidth(tracer, shape, row));
}

function endOf({ axis, start, part }: GradientPart): number {
  return start + part.side(axis);
}

/** Parts of one axis in order, with zeros in the gaps. */
function fullWidth(tracer: Tracer, shape: Shape, row: readonly GradientPart[]): Value {
  const axis = row[0]?.axis ?? 0;
  const pieces: Value[] = [];
  const zerosUpTo = (start: number, end: number): void => {
    if (end > start) pieces.push(constant(tracer, shape.with(axis, end - start), 0));
  };
  let at = 0;
  for (const part of row) {
    zerosUpTo(at, part.start);
    pieces.push(part.part);
    at = endOf(part);
  }
  zerosUpTo(at, shape[axis] ?? 0);
  const [only, ...others] = pieces;
  return only !== undefined && others.length === 0 ? only : concat(pieces, axis);
}
