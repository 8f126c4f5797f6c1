import { attention, reshape, rmsNorm, trace, type Program, type Value } from '@emu/program';
import { Parameters, type LlamaConfig } from '@emu/sdk/models';
import { llama, llamaLayerForward, type RowAttention } from '@emu/sdk/models';

/**
 * Final states of one right-padded sequence as the authors' model gives them at every place: padding sees the sequence
 * and not itself. (In training rows, padding sees itself alone; nobody reads it.)
 * Inputs: `inputs_embeds` f32[T,D], `position` i32[T], `mask` f32[H,T,T], added to the scores. Output: `hidden` f32[T,D].
 */
export function paddedStatesProgram(config: LlamaConfig, length: number): Program {
  return trace(`padded.${length}`, (t) => {
    const model = llama(Parameters.of(t, { matrices: 'f32' }), config);
    const mask = t.input('mask', [config.heads, length, length]);
    const rows: RowAttention = {
      position: t.input('position', [length], 'i32'),
      attend(q, k, v, scale) {
        const single = (x: Value): Value => reshape(x, [1, ...x.shape]);
        const mixed = attention(single(q), single(k), single(v), { scale, causal: true, bias: mask });
        return reshape(mixed, q.shape);
      },
    };
    let x = t.input('inputs_embeds', [length, config.width]);
    for (const layer of model.layers) x = llamaLayerForward(x, layer, rows, config);
    t.output('hidden', rmsNorm(x, model.norm, { epsilon: config.epsilon }));
  });
}

/** Inputs of the program but the embeddings: keys from place `used` on are hidden from everyone. */
export function paddedInputs(
  { heads }: LlamaConfig,
  length: number,
  used: number,
): { readonly position: Int32Array; readonly mask: Float32Array } {
  const mask = Float32Array.from({ length: heads * length * length }, (_, index) =>
    index % length < used ? 0 : -1e30,
  );
  return { position: Int32Array.from({ length }, (_, place) => place), mask };
}
