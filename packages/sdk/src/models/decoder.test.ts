import { describe, expect, it } from 'vitest';

import { testBackends } from '../testing/backends.js';
import { referenceConfig } from '../testing/reference-config.js';
import { referenceExists, referenceFloats } from '../testing/reference-data.js';
import {
  goldenIds,
  imageToken,
  openReferenceDecoder,
  promptRows,
  unpaddedIds,
} from '../testing/reference-decoder.js';
import { expectGolden, relativeL2, runOnCheckpoint } from '../testing/reference-model.js';
import type { LlamaConfig } from './config.js';
import { encodeImagesInputs, encodeImagesProgram } from './encode-images.js';

const file = 'llm.safetensors';
const { llama, causalTransformer } = referenceConfig;
const { width, vocabulary } = llama;
const imageSize = causalTransformer.queries * width;
const images = referenceExists
  ? referenceFloats('goldens/vision.safetensors', 'cformer.output')
  : new Float32Array();

/** Index of the last row of each prompt when the prompts follow one another. */
function lastRows(prompts: readonly (readonly number[])[]): readonly number[] {
  let end = 0;
  return prompts.map((prompt) => (end += prompt.length) - 1);
}

function argTop(values: Float32Array, count: number): readonly number[] {
  return [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, count);
}

function logSumExp(values: Float32Array): number {
  const top = values.reduce((largest, value) => Math.max(largest, value), -Infinity);
  return top + Math.log(values.reduce((sum, value) => sum + Math.exp(value - top), 0));
}

describe.skipIf(!referenceExists).each(testBackends)(
  'the language model, against the authors, on the $name backend',
  ({ backend }) => {
    it('gives every hidden state, the logits and the regression of a prompt with three images', async () => {
      const rows = promptRows(goldenIds(file, 'input_ids'), 1, images, width);
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal');
      const all = rows.map((_, row) => row);
      const outputs = await decoder.run(rows, all, {
        outputs: ['hidden', 'logits', 'regressed'],
        stages: true,
      });
      await decoder.dispose();
      for (const name of ['inputs_embeds', 'hidden0', 'hidden1', 'hidden2']) {
        expectGolden(outputs[name], file, name);
      }
      expectGolden(outputs['hidden'], file, 'hidden3');
      expectGolden(outputs['regressed'], file, 'regress');

      const logits = outputs['logits'] as Float32Array;
      const row = (index: number) => logits.subarray(index * vocabulary, (index + 1) * vocabulary);
      const columns = Float32Array.from(all.flatMap((index) => [...row(index).subarray(0, 48)]));
      expectGolden(logits.slice(-3 * vocabulary), file, 'logits_last3');
      expectGolden(columns, file, 'logits_cols');
      expectGolden(
        Float32Array.from(all, (index) => logSumExp(row(index))),
        file,
        'logsumexp',
      );
      expect(all.flatMap((index) => argTop(row(index), 8))).toEqual(goldenIds(file, 'logits_top8_ids'));
    });

    it('gives the same bits for a prompt whole, in pieces, and among rows of another sequence', async () => {
      const rows = promptRows(goldenIds(file, 'input_ids'), 0, images, width);
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal');
      const outputs = { outputs: ['logits'] } as const;
      const whole = await decoder.run(rows, [40], outputs);
      const other = rows.map((row) => ({ ...row, slot: 1 }));
      const unused = { id: 5, slot: -1, position: 0 };
      await decoder.run([...other.slice(0, 20), unused], [], {});
      const mixed = [...other.slice(20, 40).reverse(), ...rows.slice(35)];
      const among = await decoder.run(mixed, [mixed.length - 1], outputs);
      const alone = await decoder.run(other.slice(40), [0], outputs);
      await decoder.dispose();
      expect(among['logits']).toEqual(whole['logits']);
      expect(alone['logits']).toEqual(whole['logits']);
    });

    it('needs no padding: two prompts of different length in one run', async () => {
      const prompts = unpaddedIds(file, 'leftpad.input_ids', 'leftpad.attention_mask');
      expect(prompts.map((prompt) => prompt.length)).toEqual([17, 22]);
      const rows = prompts.flatMap((prompt, slot) =>
        promptRows(prompt, slot, images.subarray(slot * imageSize), width),
      );
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal');
      const { logits } = await decoder.run(rows, lastRows(prompts), { outputs: ['logits'] });
      await decoder.dispose();
      expectGolden(logits, file, 'leftpad.logits_last');
      // Rotary positions are relative, so the convention of training (counting the padding) gives the same.
      expectGolden(logits, file, 'leftpad.logits_last_arange');
    });

    it('regresses visual embeddings one by one with a cache as the authors do without', async () => {
      const goldens = 'generate_image.safetensors';
      const prompts = unpaddedIds(goldens, 'text_cfg.step0.input_ids', 'text_cfg.step0.attention_mask');
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal');
      const rows = prompts.flatMap((prompt, slot) => promptRows(prompt, slot, images, width));
      const outputs = { outputs: ['regressed'] } as const;
      const first = await decoder.run(rows, lastRows(prompts), outputs);
      const steps = [first['regressed'] as Float32Array];
      while (steps.length < causalTransformer.queries) {
        const previous = steps.at(-1) as Float32Array;
        const step = prompts.map((prompt, slot) => ({
          id: imageToken,
          slot,
          position: prompt.length + steps.length - 1,
          embedding: previous.subarray(slot * width, (slot + 1) * width),
        }));
        steps.push((await decoder.run(step, [0, 1], outputs))['regressed'] as Float32Array);
      }
      await decoder.dispose();
      const embeddings = prompts.flatMap((_, slot) =>
        steps.flatMap((step) => [...step.subarray(slot * width, (slot + 1) * width)]),
      );
      expectGolden(Float32Array.from(embeddings), goldens, 'text_cfg.embeddings');
    });

    it('scores targets by cross-entropy; -100 costs nothing', async () => {
      const rows = promptRows(goldenIds(file, 'input_ids'), 0, images, width);
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal');
      const target = Int32Array.of(7, -100, 31);
      const { losses } = await decoder.run(rows, [3, 9, 40], { outputs: ['losses'] }, target);
      await decoder.dispose();
      const logits = referenceFloats(`goldens/${file}`, 'logits_cols');
      const sums = referenceFloats(`goldens/${file}`, 'logsumexp');
      const loss = (row: number, id: number) => (sums[row] ?? NaN) - (logits[row * 48 + id] ?? NaN);
      const expected = [loss(3, 7), 0, loss(40, 31)];
      expect(relativeL2(losses as Float32Array, expected)).toBeLessThan(1e-6);
    });

    it('runs the instruct checkpoint with its adapters unmerged', async () => {
      const config: LlamaConfig = {
        ...llama,
        vocabulary: 32006,
        lora: { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] },
      };
      const pixels = referenceFloats('goldens/preprocess.safetensors', 'image0.pixel_values');
      const encoded = await runOnCheckpoint(
        backend,
        encodeImagesProgram(referenceConfig, 1),
        'instruct',
        '',
        encodeImagesInputs(referenceConfig, pixels),
      );
      const visual = encoded['embeddings'] as Float32Array;
      const rows = promptRows(goldenIds(file, 'instruct.input_ids'), 0, visual, width);
      const decoder = await openReferenceDecoder(backend, config, 'instruct');
      const all = rows.map((_, row) => row);
      const { hidden } = await decoder.run(rows, all, { outputs: ['hidden'] });
      const { logits } = await decoder.run(rows, [rows.length - 1], { outputs: ['logits'] });
      await decoder.dispose();
      expectGolden(hidden, file, 'instruct.hidden_last');
      expectGolden(logits, file, 'instruct.logits_last');
    });

    it('stays in bfloat16 where the authors stay', async () => {
      const rows = promptRows(goldenIds(file, 'input_ids'), 0, images, width);
      const decoder = await openReferenceDecoder(backend, llama, 'multimodal', 'bf16');
      const { logits } = await decoder.run(rows, [38, 39, 40], { outputs: ['logits'] });
      await decoder.dispose();
      const golden = referenceFloats(`goldens/${file}`, 'logits_last3');
      const deviation = relativeL2(logits as Float32Array, golden);
      // The official model in bfloat16 is 7.2e-3 away from itself in float32.
      expect(deviation).toBeLessThan(1e-2);
      expect(deviation).toBeGreaterThan(1e-4);
    });
  },
);
