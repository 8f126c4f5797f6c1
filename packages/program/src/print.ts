import { typeText, type TensorType } from './tensor.js';
import type { Attributes, AttributeValue, Program, ValueId } from './program.js';

/**
 * Writes a program as text, one line per declaration or call. The same text is what the C++ executor reads, so
 * what is printed is what runs:
 *
 *     emu-program 1 "llama.step"
 *     input %0 i32[8] "ids"
 *     weight %1 bf16[32004,5120] plain "decoder.lm.model.embed_tokens.weight"
 *     state %2 f32[64,16,40,128] "cache.0.key"
 *     call embedding(%1, %0) {} -> %3 f32[8,5120]
 *     output %3 "hidden"
 */
export function print(program: Program): string {
  const typed = (id: ValueId): string => `%${id} ${typeText(program.values[id] as TensorType)}`;
  const lines = [`emu-program 1 "${program.name}"`];
  for (const input of program.inputs) lines.push(`input ${typed(input.value)} "${input.name}"`);
  for (const weight of program.weights) {
    lines.push(`weight ${typed(weight.value)} ${weight.layout} "${weight.name}"`);
  }
  for (const state of program.states) lines.push(`state ${typed(state.value)} "${state.name}"`);
  for (const call of program.calls) {
    const inputs = call.inputs.map((id) => (id === null ? '_' : `%${id}`)).join(', ');
    const outputs = call.outputs.map(typed).join(', ');
    lines.push(`call ${call.op}(${inputs}) ${attributesText(call.attributes)} -> ${outputs}`);
  }
  for (const output of program.outputs) lines.push(`output %${output.value} "${output.name}"`);
  return `${lines.join('\n')}\n`;
}

function attributesText(attributes: Attributes): string {
  const entries = Object.entries(attributes).map(([name, value]) => `${name}=${attributeText(value)}`);
  return `{${entries.join(', ')}}`;
}

function attributeText(value: AttributeValue): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return `"${value}"`;
  return `[${value.join(',')}]`;
}
