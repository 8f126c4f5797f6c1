import { integerAttribute, numberAttribute, refuseAttribute, refuseShape, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { inputSignature } from './signature.js';
import { attendRow } from './softmax-rows.js';
import { floats, present } from './tensor-access.js';

export interface AttentionOptions {
  /** Factor on q·k, usually 1/sqrt(K). */
  readonly scale: number;
  /** Query t sees keys s <= t + S - T, so the last query sees every key. */
  readonly causal?: boolean;
  /** f32[H,T,S], added to the scores of every batch element; T5's relative positions. */
  readonly bias?: Value | null;
}

/**
 * softmax(scale · q·k + bias) · v (Vaswani et al. 2017), with grouped key heads: query head h reads key head
 * floor(h / (H / G)). A query that sees no key gives zeros.
 * q f32[B,T,H,K], k f32[B,S,G,K], v f32[B,S,G,K], bias f32[H,T,S]? -> f32[B,T,H,K].
 * @throws EmuError TENSOR_SHAPE_MISMATCH if H is not a multiple of G or sides differ.
 */
export function attention(q: Value, k: Value, v: Value, options: AttentionOptions): Value {
  const attributes = { scale: options.scale, causal: options.causal === true ? 1 : 0 };
  return q.tracer.call('attention', [q, k, v, options.bias ?? null], attributes)[0] as Value;
}

const bind = inputSignature<'B' | 'T' | 'S' | 'H' | 'G' | 'K'>(
  'attention',
  'q f32[B,T,H,K]',
  'k f32[B,S,G,K]',
  'v f32[B,S,G,K]',
  'bias? f32[H,T,S]',
);

export const attentionOp: OpDefinition = {
  name: 'attention',
  infer(inputs, attributes) {
    numberAttribute('attention', attributes, 'scale');
    const causal = integerAttribute('attention', attributes, 'causal', 0);
    if (causal > 1) refuseAttribute('attention', 'causal', causal, '0 or 1');
    const { B, T, H, G, K } = bind(inputs);
    if (G === 0 || H % G !== 0) {
      refuseShape('attention', `${H} query heads are not a multiple of ${G} key heads`, inputs);
    }
    return [{ shape: [B, T, H, K], dtype: 'f32' }];
  },
  reference(inputs, attributes, outputs) {
    const scale = numberAttribute('attention', attributes, 'scale');
    const causal = attributes['causal'] === 1;
    const { B, T, S, H, G, K } = bind(inputs);
    const [q, k, v] = [0, 1, 2].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const bias = inputs[3] ? floats(inputs[3]) : null;
    const out = floats(outputs[0] as Tensor);
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const visible = causal ? Math.max(0, t + S - T + 1) : S;
        for (let h = 0; h < H; h++) {
          const queryStart = ((b * T + t) * H + h) * K;
          const group = Math.floor(h / (H / G));
          attendRow({
            width: K,
            keyCount: Math.min(visible, S),
            scale,
            query: (i) => q[queryStart + i] as number,
            keyStart: (s) => ((b * S + s) * G + group) * K,
            key: (index) => k[index] as number,
            value: (index) => v[index] as number,
            bias: (s) => (bias === null ? 0 : (bias[(h * T + t) * S + s] as number)),
            write: (i, value) => (out[queryStart + i] = value),
          });
        }
      }
    }
  },
  gradient: { because: 'arrives with the training work' },
};
