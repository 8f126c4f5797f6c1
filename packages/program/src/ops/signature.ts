import { refuseShape, type InputTypes } from '../op.js';
import { sameShape, type Shape, type TensorType } from '../tensor.js';

interface InputRule {
  readonly name: string;
  readonly optional: boolean;
  readonly dtypes: readonly string[];
  readonly axes: readonly string[];
}

/** The side of every letter of a signature, and in `rest` the axes that `...` stood for. */
export type BoundSides<Letter extends string> = Readonly<Record<Letter, number>> & { readonly rest: Shape };

/**
 * The inputs of an op as its documentation writes them, one text each:
 *
 *     inputSignature<'B' | 'T'>('example', 'x f32[B,T]', 'weight f32|bf16[T]', 'bias? f32[...,T]')
 *
 * `?` marks an optional input, `...` stands for any number of axes. A letter must be the same number wherever it
 * occurs, `...` the same axes. The returned function binds the letters to the types of a call.
 * @throws EmuError TENSOR_SHAPE_MISMATCH (from the returned function) naming the letter, both inputs and both numbers.
 */
export function inputSignature<Letter extends string>(
  op: string,
  ...texts: readonly string[]
): (inputs: InputTypes) => BoundSides<Letter> {
  const rules = texts.map(parseRule);
  const usage = rules.map((rule) => (rule.optional ? `${rule.name}?` : rule.name)).join(', ');
  return (inputs) => {
    if (inputs.length !== rules.length) {
      refuseShape(op, `takes ${rules.length} inputs (${usage}), got ${inputs.length}`, inputs);
    }
    const sides = new Map<string, { side: number; name: string }>();
    let rest: { shape: Shape; name: string } | undefined;
    for (const [index, rule] of rules.entries()) {
      const type = inputs[index] ?? null;
      if (type === null) {
        if (!rule.optional) refuseShape(op, `input ${index} (${rule.name}) is missing`, inputs);
        continue;
      }
      checkDType(op, rule, type, inputs);
      const bound = bindAxes(op, rule, type, inputs);
      for (const [letter, side] of bound.sides) {
        const known = sides.get(letter);
        if (known === undefined) sides.set(letter, { side, name: rule.name });
        else if (known.side !== side) {
          refuseShape(op, `${letter} is ${known.side} in ${known.name} but ${side} in ${rule.name}`, inputs);
        }
      }
      if (bound.rest === undefined) continue;
      rest ??= { shape: bound.rest, name: rule.name };
      if (!sameShape(rest.shape, bound.rest)) {
        const [known, came] = [rest.shape.join(','), bound.rest.join(',')];
        refuseShape(op, `axes [${known}] of ${rest.name} are not [${came}] of ${rule.name}`, inputs);
      }
    }
    const numbers = Object.fromEntries([...sides].map(([letter, { side }]) => [letter, side]));
    return { ...numbers, rest: rest?.shape ?? [] } as unknown as BoundSides<Letter>;
  };
}

function parseRule(text: string): InputRule {
  const match = /^(\w+)(\??) ([\w|]+)\[([^\]]*)\]$/.exec(text);
  if (match === null) throw new SyntaxError(`"${text}" is not an input signature`);
  const [, name = '', mark, dtypes = '', axes = ''] = match;
  return {
    name,
    optional: mark === '?',
    dtypes: dtypes.split('|'),
    axes: axes === '' ? [] : axes.split(','),
  };
}

function checkDType(op: string, rule: InputRule, type: TensorType, inputs: InputTypes): void {
  if (rule.dtypes.includes(type.dtype)) return;
  refuseShape(op, `${rule.name} is ${type.dtype}, needs ${rule.dtypes.join(' or ')}`, inputs);
}

function bindAxes(
  op: string,
  rule: InputRule,
  type: TensorType,
  inputs: InputTypes,
): { sides: readonly (readonly [string, number])[]; rest: Shape | undefined } {
  const { shape } = type;
  const ellipsis = rule.axes.indexOf('...');
  const letters = rule.axes.filter((axis) => axis !== '...');
  const fits = ellipsis < 0 ? shape.length === letters.length : shape.length >= letters.length;
  if (!fits) {
    refuseShape(op, `${rule.name} has ${shape.length} axes, needs [${rule.axes.join(',')}]`, inputs);
  }
  const before = ellipsis < 0 ? letters.length : ellipsis;
  const after = letters.length - before;
  const named = [...shape.slice(0, before), ...shape.slice(shape.length - after)];
  return {
    sides: letters.map((letter, index) => [letter, named[index] ?? 0] as const),
    rest: ellipsis < 0 ? undefined : shape.slice(before, shape.length - after),
  };
}
