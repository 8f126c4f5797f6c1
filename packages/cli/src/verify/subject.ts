import type { Program, Session, TensorData } from '@emu/program';
import type { LoadedModel } from '@emu/sdk';
import type { Decoder } from '@emu/sdk/generate';
import type { EmuConfig, SafetyConcepts } from '@emu/sdk/models';
import type { EmuTokenizer } from '@emu/sdk/tokenizer';
import type { TensorEntry } from '@emu/sdk/weights';

/** The checkpoint under test, as far as the stages need it: the product's own model, tokenizer and decoder. */
export interface Subject {
  readonly model: LoadedModel;
  readonly config: EmuConfig;
  readonly tokenizer: EmuTokenizer;
  readonly decoder: Decoder;
  /** Dtype of the matrices in memory. */
  readonly dtype: 'f32' | 'bf16';
  /** Loads the weights the program names and runs it once. */
  run(program: Program, inputs: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>>;
  /** A session beside the model's, for programs that change weights. */
  openSession(): Session;
  /** The checkpoint's tensor of the multimodal encoder. @throws EmuError CAPABILITY_MISSING when there is none. */
  tensor(name: string): TensorEntry;
  /** scheduler/scheduler_config.json. */
  readonly schedulerConfig: unknown;
  /** feature_extractor/preprocessor_config.json. */
  readonly clipImageConfig: unknown;
  safetyConcepts(): Promise<SafetyConcepts>;
}

/** What a stage is given. */
export interface Subjects {
  /** The pretrained model of the folder. */
  base(): Promise<Subject>;
  /** The instruct model of the folder; undefined when it has none. */
  instruct(): Promise<Subject | undefined>;
}
