import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { crossEntropyGradient, linear, reshape, sumTo, trace } from '@emu/program';

import type { EmuConfig } from './config.js';
import { cacheStates, decoderProgram } from './decoder.js';
import { encodeImagesProgram } from './encode-images.js';
import {
  emuParameterCounts,
  memoryPlan,
  memoryPlanText,
  peakScratchBytes,
  programFlops,
  requireMemory,
} from './estimate.js';
import { unetProgram } from './unet-program.js';
import { vaeDecodeProgram } from './vae-program.js';

const path = join(import.meta.dirname, '../../../../models/emu-14b.json');
const emu = JSON.parse(readFileSync(path, 'utf8')) as Required<EmuConfig>;
const bf16 = { matrices: 'bf16' } as const;
const cache = { slots: 1, pages: 128, pageSize: 16, pagesPerSlot: 128, cacheDtype: 'bf16' } as const;

describe('what Emu-14B costs', () => {
  it('has the parameters of the published parts', () => {
    // LLaMA's published 13,015,864,320 are without the four added tokens, which each have two rows.
    expect(emuParameterCounts(emu)).toEqual({
      visual: 1_011_143_296,
      visualNorm: 2 * 1408,
      causalTransformer: 129_033_344,
      llama: 13_015_864_320 + 4 * 2 * 5120,
      adapters: 0,
      regressionHead: 26_214_400,
      unet: 859_520_964 + 108_625_920, // Stable Diffusion 1.5, and its 16 wider key and value projections
      vae: 83_653_863,
      safetyChecker: 303_981_588,
    });
    const lora = { rank: 16, alpha: 16, targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj'] } as const;
    expect(emuParameterCounts({ ...emu, llama: { ...emu.llama, lora } }).adapters).toBe(26_214_400);
  });

  it('takes 26.4 GiB of bf16 weights for pictures and text, and 1.6 GiB of cache for 2048 positions', () => {
    const encode = encodeImagesProgram(emu, 1, { precision: bf16 });
    const outputs = ['logits', 'regressed'] as const;
    const decode = decoderProgram(emu.llama, { ...cache, rows: 1, logitRows: 1, outputs, precision: bf16 });
    const plan = memoryPlan([encode, decode, decode]);
    expect(plan.weightBytes / 2 ** 30).toBeCloseTo(26.4, 1);
    expect(plan.cacheBytes).toBe(2 * 40 * 2048 * 5120 * 2);
    expect(plan.totalBytes).toBe(plan.weightBytes + plan.cacheBytes + plan.scratchBytes);
    expect(memoryPlanText(plan)).toBe('28.0 GiB: weights 26.4, cache 1.6, scratch 0.0');
    const states = cacheStates(emu.llama, cache).map(({ shape }) => shape);
    expect(states).toHaveLength(80);
    expect(() => {
      requireMemory(plan, 2 ** 34);
    }).toThrow('[memory] needs 28.0 GiB: weights 26.4, cache 1.6, scratch 0.0; there are 16.0 GiB');
    expect(() => {
      requireMemory(plan, 2 ** 35);
    }).not.toThrow();
  });

  it('works as much as the published models do', () => {
    const { unet, vae } = emu.visualDecoder;
    // The usual figure of Stable Diffusion 1.5 leaves the products inside attention out: 1354 GFLOP a guided step.
    const text = { ...unet, crossAttentionWidth: 768 };
    const step = unetProgram(text, { batch: 2, height: 64, width: 64, tokens: 77 });
    const isAttention = (call: { readonly op: string }) => call.op === 'attention';
    const outside = { ...step, calls: step.calls.filter((call) => !isAttention(call)) };
    expect(programFlops(outside) / 1e9).toBeCloseTo(1354.4, 1);
    // Self-attention over 64x64 places in five blocks, 320 wide, is most of what attention adds.
    const inside = { ...step, calls: step.calls.filter(isAttention) };
    expect(programFlops(inside)).toBeGreaterThan(5 * 4 * 2 * 4096 ** 2 * 320);
    const picture = vaeDecodeProgram(vae, { batch: 1, height: 64, width: 64 });
    expect(programFlops(picture) / 1e12).toBeCloseTo(2.51, 2);
    const token = decoderProgram(emu.llama, { ...cache, rows: 1, logitRows: 1, outputs: ['logits'] });
    const products = 2 * (13_015_905_280 - 32004 * 5120 - (2 * 40 + 1) * 5120);
    expect(programFlops(token)).toBe(products);
    expect(programFlops(token, 1000) - products).toBe(40 * 4 * 5120 * 1000);
  });
});

describe('scratch', () => {
  it('is what is alive at once: a value is freed after its last use and a view costs nothing', () => {
    const program = trace('chain', (t) => {
      const x = t.input('x', [4, 8]);
      const a = linear(x, t.weight('a', [16, 8])); // 256 bytes beside the 128 of x
      const b = linear(reshape(a, [2, 32]), t.weight('b', [1, 32])); // 8 bytes; x is gone
      t.output('y', b);
    });
    expect(peakScratchBytes(program)).toBe(128 + 256);
  });

  it('counts the gradient of logits once, which lies where they lay', () => {
    const program = trace('head', (t) => {
      const [target, dy] = [t.input('target', [4], 'i32'), t.input('dy', [4])];
      const logits = linear(t.input('x', [4, 2]), t.weight('head', [50, 2])); // 800 bytes
      t.output('sum', sumTo(crossEntropyGradient(logits, target, dy), [1]));
    });
    expect(peakScratchBytes(program)).toBe(2 * 16 + 32 + 800);
  });
});
