import { numberAttribute, type OpDefinition } from '../op.js';
import type { Tensor } from '../tensor.js';
import type { Value } from '../trace.js';
import { checkedAttention, type AttentionOptions, type AttentionSide } from './attention-call.js';
import { inputSignature } from './signature.js';
import { floats, present } from './tensor-access.js';
import { visibleKeys } from './visible-keys.js';

export interface AttentionGradientOptions extends AttentionOptions {
  /** What `attention` made of the same inputs and options. */
  readonly out: Value;
  /** The gradient of `out`. */
  readonly dout: Value;
}

/** Gradients of the inputs of the same letter; `dbias` is null where there was no bias. */
export interface AttentionGradients {
  readonly dq: Value;
  readonly dk: Value;
  readonly dv: Value;
  readonly dbias: Value | null;
}

/**
 * The gradients of `attention`. With P the softmax weights of a query and dP = dout · v:
 * dv = Pᵀ dout, dscores = P (dP - Σ P dP), dq = scale · dscores k, dk = scale · dscoresᵀ q, dbias = Σ over B of dscores.
 * The sum Σ P dP equals out · dout, which is how a backend may compute it (Dao et al. 2022). A query that sees no key
 * has no gradient.
 * q, out, dout f32[B,T,H,K], k and v f32[B,S,G,K], bias f32[H,T,S]?, firstKey i32[B,T]? -> dq f32[B,T,H,K],
 * dk and dv f32[B,S,G,K], and with a bias dbias f32[H,T,S].
 * @throws EmuError TENSOR_SHAPE_MISMATCH as `attention`.
 */
export function attentionGradient(
  q: Value,
  k: Value,
  v: Value,
  options: AttentionGradientOptions,
): AttentionGradients {
  const { scale, causal = false, bias = null, firstKey = null, out, dout } = options;
  const [dq, dk, dv, dbias] = q.tracer.call('attentionGradient', [q, k, v, bias, firstKey, out, dout], {
    scale,
    causal: causal ? 1 : 0,
  }) as [Value, Value, Value, Value?];
  return { dq, dk, dv, dbias: dbias ?? null };
}

const bind = inputSignature<AttentionSide>(
  'attentionGradient',
  'q f32[B,T,H,K]',
  'k f32[B,S,G,K]',
  'v f32[B,S,G,K]',
  'bias? f32[H,T,S]',
  'firstKey? i32[B,T]',
  'out f32[B,T,H,K]',
  'dout f32[B,T,H,K]',
);

export const attentionGradientOp: OpDefinition = {
  name: 'attentionGradient',
  infer(inputs, attributes) {
    const { B, T, S, H, G, K } = checkedAttention('attentionGradient', attributes, bind, inputs);
    const queries = { shape: [B, T, H, K], dtype: 'f32' } as const;
    const keys = { shape: [B, S, G, K], dtype: 'f32' } as const;
    return [queries, keys, keys, ...(inputs[3] ? [{ shape: [H, T, S], dtype: 'f32' } as const] : [])];
  },
  reference(inputs, attributes, outputs) {
    const scale = numberAttribute('attentionGradient', attributes, 'scale');
    const { B, T, S, H, G, K } = bind(inputs);
    const visible = visibleKeys('attentionGradient', inputs, attributes, { B, T, S });
    const [q, k, v, dout] = [0, 1, 2, 6].map((index) => floats(present(inputs, index))) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const bias = inputs[3] ? floats(inputs[3]) : null;
    const sums = outputs.map((output) => new Float64Array(output.data.length));
    const [dq, dk, dv, dbias] = sums as [Float64Array, Float64Array, Float64Array, Float64Array?];
    const dot = (a: Float32Array, atA: number, b: Float32Array, atB: number): number => {
      let sum = 0;
      for (let i = 0; i < K; i++) sum += (a[atA + i] as number) * (b[atB + i] as number);
      return sum;
    };
    const addScaled = (
      to: Float64Array,
      at: number,
      factor: number,
      from: Float32Array,
      start: number,
    ): void => {
      for (let i = 0; i < K; i++) to[at + i] = (to[at + i] as number) + factor * (from[start + i] as number);
    };
    for (let b = 0; b < B; b++) {
      for (let t = 0; t < T; t++) {
        const { begin, end } = visible(b, t);
        for (let h = 0; h < H; h++) {
          const query = ((b * T + t) * H + h) * K;
          const biasRow = (h * T + t) * S;
          const key = (s: number): number => ((b * S + s) * G + Math.floor(h / (H / G))) * K;
          const weights = new Float64Array(S);
          for (let s = begin; s < end; s++) {
            weights[s] =
              scale * dot(q, query, k, key(s)) + (bias === null ? 0 : (bias[biasRow + s] as number));
          }
          if (!softmax(weights, begin, end)) continue;
          const dweights = new Float64Array(S);
          let mean = 0; // Σ P dP
          for (let s = begin; s < end; s++) {
            dweights[s] = dot(dout, query, v, key(s));
            mean += (weights[s] as number) * (dweights[s] as number);
          }
          for (let s = begin; s < end; s++) {
            const weight = weights[s] as number;
            const dscore = weight * ((dweights[s] as number) - mean);
            addScaled(dv, key(s), weight, dout, query);
            addScaled(dq, query, scale * dscore, k, key(s));
            addScaled(dk, key(s), scale * dscore, q, query);
            if (dbias) dbias[biasRow + s] = (dbias[biasRow + s] as number) + dscore;
          }
        }
      }
    }
    outputs.forEach((output: Tensor, index) => {
      floats(output).set(sums[index] as Float64Array);
    });
  },
  gradient: { because: 'second derivatives are not needed for training' },
};

/** Scores begin..end-1 become weights that sum to 1; false where none is above -Infinity. */
function softmax(scores: Float64Array, begin: number, end: number): boolean {
  let largest = -Infinity;
  for (let s = begin; s < end; s++) largest = Math.max(largest, scores[s] as number);
  if (largest === -Infinity) return false;
  let total = 0;
  for (let s = begin; s < end; s++) {
    scores[s] = Math.exp((scores[s] as number) - largest);
    total += scores[s] as number;
  }
  for (let s = begin; s < end; s++) scores[s] = (scores[s] as number) / total;
  return true;
}
