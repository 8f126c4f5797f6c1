import type { Program, Shape, TensorData, WeightSource } from '@emu/program';

import type { JsonValue } from './json-value.js';

/** How much a batch holds; sums over the micro-batches of a step are reported and make the rates. */
export interface BatchCounts {
  readonly samples: number;
  /** Positions that a model really reads; padding does not count. */
  readonly tokens: number;
  readonly images: number;
}

/** One micro-batch: what one run of one program reads. */
export interface TrainingBatch {
  /** Key of the task's program that takes it, as in `TrainingTask.program`. */
  readonly program: string;
  /**
   * The program's inputs. Everything that differs from step to step is here: tokens, pixels, noise, the key of dropout.
   * The buffers are the trainer's from now on: it reads them again when a step went wrong.
   */
  readonly inputs: Readonly<Record<string, TensorData>>;
  readonly counts: BatchCounts;
  /** Names the samples, such as `drawn-world pair 1841..1856`: the guard against NaN prints it. */
  readonly label: string;
}

/**
 * Batches in a fixed order. After `next` has given a batch, `position` is where a stream must be opened to go on with
 * the batch that follows it, whatever is being prepared ahead. A stream opened there gives the same bytes.
 */
export interface BatchStream {
  /** The next batch, or undefined at the end of the data; most streams have no end. */
  next(): Promise<TrainingBatch | undefined>;
  position(): JsonValue;
  close(): Promise<void>;
}

/** One tensor of the model, by its name in programs. */
export interface TrainingParameter {
  readonly name: string;
  readonly shape: Shape;
  /** False for what this stage never changes; recipes can freeze more. */
  readonly trainable: boolean;
  /** The module it belongs to, such as `visual` or `lm`. Recipes set learning rates by group or by name pattern. */
  readonly group: string;
  /** Factor on the group's learning rate; 1 by default. */
  readonly learningRateScale?: number;
  /** Whether weight decay applies. Default: only to tensors of two axes and more, so not to biases and norms. */
  readonly decay?: boolean;
}

/** The weights as they are now: the average over steps (EMA) where the recipe asks for one, the master values in f32. */
export interface TrainedWeights {
  readonly parameters: readonly TrainingParameter[];
  /**
   * A copy of one parameter, frozen ones included, row-major.
   * @throws EmuError INVALID_OPTION for a name that the task does not have.
   */
  read(name: string): Promise<Float32Array>;
}

/** Something to look at, made from a fixed prompt. The trainer writes it into the run folder, the log and the report. */
export type TrainingSample =
  | { readonly kind: 'text'; readonly name: string; readonly prompt: string; readonly text: string }
  | { readonly kind: 'image'; readonly name: string; readonly prompt: string; readonly png: Uint8Array };

export interface SampleContext {
  readonly step: number;
  readonly weights: TrainedWeights;
  readonly signal?: AbortSignal;
}

/** A model that makes a task's batches, such as the frozen language model whose embeddings condition a U-Net. */
export interface TrainingCompanion {
  /** Bytes that it takes beside what is trained. */
  readonly bytes: number;
  /** Floating-point operations that it spends on a micro-batch. */
  readonly flopsPerBatch: number;
}

/**
 * What is trained, without how: parameters, the forward program, the batches. The trainer turns the parameters into f32
 * states, differentiates the program and owns optimizer, schedule, checkpoints and logs.
 */
export interface TrainingTask {
  readonly name: string;
  /** Every weight that some program reads, each once. A frozen one keeps the dtype and layout of the program. */
  readonly parameters: readonly TrainingParameter[];
  /**
   * A forward program that reads the parameters as weights. Its output `loss` f32[1] is minimised; outputs that are
   * named `loss.<term>`, such as `loss.text` and `loss.visual`, are reported apart, and so is every other f32[1] output.
   * A weight that the program declares as bf16 is trained in f32 and rounded where the program reads it.
   * Must not depend on anything but the key; traced once per key.
   */
  program(key: string): Program;
  /** Keys that a plan looks at: the programs with the largest batches, one for each kind. */
  readonly programKeys: readonly string[];
  /** What per_device_train_batch_size counts: samples by default, or rows that samples are packed into. */
  readonly batchUnit?: 'samples' | 'rows';
  /** What else runs on the device, for plans. */
  readonly companion?: TrainingCompanion;
  /** Looks at the first samples of every source, before a run makes anything. @throws EmuError for those that do not fit. */
  checkSamples?(): Promise<void>;
  /** Opens the stream at the start (null) or at a position that an earlier stream of the same recipe returned. */
  batches(from: JsonValue | null): BatchStream;
  /** Batches of held-out data, the same every time and finite; their loss is logged as `eval_loss`. */
  heldOutBatches?(): BatchStream;
  /** Where a parameter starts: drawn from a seed, or an entry of a checkpoint. */
  initial(name: string): WeightSource | Promise<WeightSource>;
  /** Captions and paints fixed prompts with the weights as they are. */
  samples?(context: SampleContext): Promise<readonly TrainingSample[]>;
  /** Writes the trained model into an existing empty folder. */
  save(weights: TrainedWeights, folder: string): Promise<void>;
  /** Lets go of what the task opened. */
  close?(): Promise<void>;
}

/** What a training session needs of a task: the model, without its data and its files. */
export type TrainedModel = Pick<TrainingTask, 'name' | 'parameters' | 'program' | 'initial'>;

/** Whether weight decay applies to a parameter. */
export function hasDecay(parameter: TrainingParameter): boolean {
  return parameter.decay ?? parameter.shape.length >= 2;
}
