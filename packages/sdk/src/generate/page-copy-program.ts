import { cachePageCopy, trace, type Program } from '@emu/program';

import type { LlamaConfig } from '../models/config.js';
import { cacheStates, type CacheConfig } from '../models/decoder.js';

/**
 * Copies `copies` pages in the key and value cache of every layer.
 * Inputs: `from`, `to` i32[N], page numbers; from -1 leaves a copy out. No outputs.
 */
export function pageCopyProgram(config: LlamaConfig, cache: CacheConfig, copies: number): Program {
  return trace(`page-copy.${copies}`, (t) => {
    const from = t.input('from', [copies], 'i32');
    const to = t.input('to', [copies], 'i32');
    for (const { name, shape, dtype } of cacheStates(config, cache)) {
      cachePageCopy(t.state(name, shape, dtype), { from, to });
    }
  });
}
