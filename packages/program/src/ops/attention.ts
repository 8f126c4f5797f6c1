import { numberAttribute, type InputTypes, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { checkedAttention, type AttentionOptions, type AttentionSide } from './attention-call.js';
import { inputSignature, type BoundSides } from './signature.js';
import { attendRow } from './softmax-rows.js';
import { floats, present } from './tensor-access.js';
import { visibleKeys } from './visible-keys.js';
import { attentionGradient } from './attention-gradient.js';

/**
 * softmax(scale · q·k + bias) · v (Vaswani et al. 2017), with grouped key heads: query head h reads key head
 * floor(h / (H / G)). A query that sees no key gives zeros.
 * q f32[B,T,H,K], k f32[B,S,G,K], v f32[B,S,G,K], bias f32[H,T,S]?, firstKey i32[B,T]? -> f32[B,T,H,K].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if H is not a multiple of G or sides differ; INVALID_OPTION at run time if
 *   an entry of firstKey is not in 0..S.
 */
export function attention(q: Value, k: Value, v: Value, options: AttentionOptions): Value {
  const attributes = { scale: options.scale, causal: options.causal === true ? 1 : 0 };
  const packing = options.firstKey ? [options.firstKey] : [];
  return q.tracer.call('attention', [q, k, v, options.bias ?? null, ...packing], attributes)[0] as Value;
}

const signature = ['q f32[B,T,H,K]', 'k f32[B,S,G,K]', 'v f32[B,S,G,K]', 'bias? f32[H,T,S]'] as const;
const bindUnpacked = inputSignature<AttentionSide>('attention', ...signature);
const bindPacked = inputSignature<AttentionSide>('attention', ...signature, 'firstKey? i32[B,T]');
// Input 4 may be left out altogether: a program without packed sequences has four.
const bind = (inputs: InputTypes): BoundSides<AttentionSide> =>
  inputs.length === signature.length ? bindUnpacked(inputs) : bindPacked(inputs);

export const attentionOp: OpDefinition = {
  name: 'attention',
  infer(inputs, attributes) {
    const { B, T, H, K } = checkedAttention('attention', attributes, bind, inputs);
    return [{ shape: [B, T, H, K], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const scale = numberAttribute('attention', attributes, 'scale');
    const { B, T, S, H, G, K } = bind(inputs);
    const visible = visibleKeys('attention', inputs, attributes, { B, T, S });
    const [q, k, v] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const bias = inputs[3] ? floats(inputs[3]) : null;
    const out = floats(outputs[0] as Tensor);
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const { begin, end } = visible(b, t);
        for (let h = 0; h < H; h++) {
          const queryStart = ((b * T + t) * H + h) * K;
          const group = Math.floor(h / (H / G));
          attendRow({
            width: K,
            keyCount: Math.max(0, end - begin),
            scale,
            query: (i) => q[queryStart + i] as number,
            key: (s, i) => k[((b * S + begin + s) * G + group) * K + i] as number,
            value: (s, i) => v[((b * S + begin + s) * G + group) * K + i] as number,
            bias: (s) => (bias === null ? 0 : (bias[(h * T + t) * S + begin + s] as number)),
            write: (i, value) => (out[queryStart + i] = value),
          });
        }
      }
    }
  },
  gradient([dout], { inputs, outputs, attributes }) {
    const [q, k, v, bias, firstKey = null] = inputs as readonly [Value, Value, Value, Value | null, Value?];
    const { dq, dk, dv, dbias } = attentionGradient(q, k, v, {
      scale: numberAttribute('attention', attributes, 'scale'),
      causal: attributes['causal'] === 1,
      bias,
      firstKey,
      out: outputs[0] as Value,
      dout: dout as Value,
    });
    return [dq, dk, dv, dbias, null];
  },
};
