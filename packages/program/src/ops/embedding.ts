import type { OpDefinition } from '../op.js';
import { elementCount, type Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { checkedIndex, floatReader, floats, indices, present } from './tensor-access.js';
import { reshape } from './reshape.js';
import { scatterAddRows } from './scatter-add-rows.js';

/**
 * Looks up rows of a table.
 * table f32|bf16[V,D], ids i32[...] -> f32[...,D].
 * @throws EmuError INVALID_OPTION at run time if an id is not in 0..V-1.
 */
export function embedding(table: Value, ids: Value): Value {
  return table.tracer.call('embedding', [table, ids])[0] as Value;
}

const bind = inputSignature<'V' | 'D'>('embedding', 'table f32|bf16[V,D]', 'ids i32[...]');

export const embeddingOp: OpDefinition = {
  name: 'embedding',
  infer(inputs) {
    const { D, rest } = bind(inputs);
    return [{ shape: [...rest, D], dtype: 'f32' }];
  },
  reference(inputs, _attributes, outputs) {
    const { V, D } = bind(inputs);
    const table = floatReader(present(inputs, 0));
    const out = floats(outputs[0] as Tensor);
    indices(present(inputs, 1)).forEach((value, row) => {
      const id = checkedIndex('embedding', 'id', row, value, V);
      for (let d = 0; d < D; d++) out[row * D + d] = table(id * D + d);
    });
  },
  gradient([dy], { inputs }) {
    const [table, ids] = inputs as readonly [Value, Value];
    const [count, width] = [table.side(0), table.side(1)];
    const looked = elementCount(ids.shape);
    const rows = reshape(dy as Value, [looked, width]);
    return [scatterAddRows(rows, reshape(ids, [looked]), { count }), null];
  },
};
