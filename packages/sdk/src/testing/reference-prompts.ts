import { ReferenceBackend, type Backend, type Session } from '@emu/program';

import type { LlamaConfig } from '../models/config.js';
import { decoderProgram, type CacheConfig } from '../models/decoder.js';
import { referenceConfig } from './reference-config.js';
import { referenceFloats, referenceJson, referencePath } from './reference-data.js';
import { EmuTokenizer } from '../tokenizer/index.js';
import { readTokenizer } from '../tokenizer/read-tokenizer-node.js';
import { openTensorFile } from '../weights/open.js';
import { readTensor } from '../weights/read-tensor.js';
import { Decoder, type Element } from '../generate/step.js';

/* The authors' prompts and language models, for tests of generation below the Emu class. */

export interface GoldenRun {
  readonly name: string;
  readonly prompt: string | readonly string[];
  readonly images: readonly number[] | null;
  readonly args: Readonly<Record<string, number | string>>;
  /** One row per prompt and caption: <s> first, filled with [PAD]. */
  readonly ids: readonly (readonly number[])[];
  readonly text: readonly string[];
  readonly sequences_scores?: readonly number[];
}

export interface GoldenGeneration {
  readonly prompts: Readonly<Record<string, string>>;
  readonly runs: readonly GoldenRun[];
  readonly trie: readonly (readonly number[])[];
  readonly ranking: {
    readonly prompt: readonly string[];
    readonly image: readonly number[];
    readonly candidates: readonly string[];
  };
  readonly generate_image: Readonly<
    Record<string, { readonly text: readonly string[]; readonly images: readonly number[] | null }>
  >;
}

export function goldenGeneration(): GoldenGeneration {
  return referenceJson<GoldenGeneration>('goldens/generation.json');
}

const cache: CacheConfig = { slots: 16, pages: 128, pageSize: 16, pagesPerSlot: 16, cacheDtype: 'f32' };

const files = { multimodal: 'multimodal_encoder/pytorch_model.bin', instruct: 'Emu-instruct.pt' } as const;

/** peft puts the language model two modules deeper. */
function plainName(name: string): string {
  return name.replace('base_model.model.', '').replace('.default.weight', '.weight');
}

/** A session with the language model of a checkpoint. Dispose the session. */
export async function openReferenceLanguageModel(
  checkpoint: keyof typeof files,
  config: LlamaConfig,
  backend: Backend = new ReferenceBackend(),
): Promise<{ readonly decoder: Decoder; readonly session: Session; readonly tokenizer: EmuTokenizer }> {
  const session = backend.openSession();
  const file = await openTensorFile(referencePath(`checkpoint/${files[checkpoint]}`));
  const entries = new Map([...file.entries].map(([name, entry]) => [plainName(name), entry]));
  const { weights, values } = decoderProgram(config, {
    ...cache,
    rows: 1,
    logitRows: 1,
    outputs: ['logits', 'regressed'],
  });
  for (const { name, value, layout } of weights) {
    const [type, entry] = [values[value], entries.get(plainName(name))];
    if (type === undefined || entry === undefined)
      throw new Error(`the ${checkpoint} checkpoint has no ${name}`);
    const { dtype, data } = await readTensor(entry);
    await session.loadWeight({ name, ...type, layout, source: { kind: 'data', dtype, data } });
  }
  const tokenizer = await readTokenizer(referencePath('checkpoint/llama_config'), {
    instruct: checkpoint === 'instruct',
  });
  return { session, tokenizer, decoder: new Decoder(session, config, cache) };
}

/** Visual embeddings that the authors' encoder made of inputs/image<n>.png: N rows of f32[D]. */
export function goldenImageRows(image: number): readonly Float32Array[] {
  const { queries, outputWidth } = referenceConfig.causalTransformer;
  const all = referenceFloats('goldens/vision.safetensors', 'cformer.output');
  return Array.from({ length: queries }, (_, row) => {
    const start = (image * queries + row) * outputWidth;
    return all.subarray(start, start + outputWidth);
  });
}

/** A prompt written as the authors write it: its <image> tokens take the rows in order. */
export function templateElements(
  tokenizer: EmuTokenizer,
  text: string,
  imageRows: readonly Float32Array[],
): readonly Element[] {
  const ids = tokenizer.encode(text, { allowSpecialTokens: true });
  let taken = 0;
  return ids.map((id) => (id === tokenizer.specialTokens.imageSlot ? (imageRows[taken++] ?? id) : id));
}
