import {
  adamwHyper,
  elementCount,
  EmuError,
  gradient,
  gradientName,
  sameShape,
  toFloat32,
  trainable,
  typeText,
  zeroGradients,
  type AdamwNumbers,
  type Backend,
  type Executable,
  type Program,
  type Session,
  type TensorData,
  type TensorType,
  type WeightSource,
} from '@emu/program';

import { readTensor } from '../../weights/index.js';
import type { OptimizerSettings } from '../optimizer/parameter-settings.js';
import { averageName, moment1Name, moment2Name } from '../optimizer/state-names.js';
import {
  averageDecay,
  averageInput,
  gradientNormProgram,
  hyperInput,
  squaresOutput,
  updateProgram,
} from '../optimizer/update-program.js';
import type { StateTensor } from '../run-folder/checkpoint.js';
import type { TrainedModel, TrainedWeights, TrainingBatch, TrainingParameter } from '../task.js';
import { checkProgram } from './check-program.js';

export interface TrainingSessionOptions {
  readonly threads?: number;
  /** Recompute blocks in the backward pass. */
  readonly recompute: boolean;
  /** Decay of the exponential average of the weights; 0 for none. */
  readonly averageDecay: number;
}

/** Values of a program's f32[1] outputs: `loss` and its terms. */
export type LossTerms = Readonly<Record<string, number>>;

/** The numbers of one update that are the same for all groups. */
export type UpdateNumbers = Omit<AdamwNumbers, 'learningRate' | 'weightDecay'> & {
  /** Factor on every group's peak learning rate. */
  readonly scheduleFactor: number;
};

/**
 * A task's parameters, gradients and moments in a backend session, and the programs of a training step. It knows
 * neither data nor files; the one thing to close.
 */
export class TrainingSession {
  readonly #session: Session;
  readonly #gradientPrograms = new Map<string, Executable>();
  readonly #lossPrograms = new Map<string, Executable>();
  readonly #loadedWeights = new Set<string>();
  readonly #parameters: ReadonlyMap<string, TrainingParameter>;
  readonly #trainedNames: ReadonlySet<string>;
  readonly #norm: Executable;
  readonly #update: Executable;
  readonly #zero: Executable;

  private constructor(
    backend: Backend,
    readonly task: TrainedModel,
    readonly settings: OptimizerSettings,
    readonly options: TrainingSessionOptions,
  ) {
    this.#parameters = new Map(task.parameters.map((parameter) => [parameter.name, parameter]));
    this.#trainedNames = new Set(settings.trained.map(({ parameter }) => parameter.name));
    this.#session = backend.openSession(options.threads === undefined ? {} : { threads: options.threads });
    for (const { parameter } of settings.trained) {
      for (const name of [...this.#savedNames(parameter), gradientName(parameter.name)]) {
        this.#session.createState(name, parameter.shape, 'f32');
      }
    }
    this.#norm = this.#session.compile(gradientNormProgram(settings));
    this.#update = this.#session.compile(updateProgram(settings, this.#hasAverage));
    this.#zero = this.#session.compile(zeroGradients(this.#norm.program));
  }

  /**
   * Makes the states. They hold zeros until `loadInitial` or `restore`.
   * @throws EmuError OUT_OF_MEMORY, or what the backend says of the programs.
   */
  static open(
    backend: Backend,
    task: TrainedModel,
    settings: OptimizerSettings,
    options: TrainingSessionOptions,
  ): TrainingSession {
    return new TrainingSession(backend, task, settings, options);
  }

  get #hasAverage(): boolean {
    return this.options.averageDecay > 0;
  }

  /** Gives the trained parameters the values that the task starts from; moments are zero. */
  async loadInitial(signal?: AbortSignal): Promise<void> {
    for (const { parameter } of this.settings.trained) {
      signal?.throwIfAborted();
      const values = await initialValues(this.task, parameter);
      await this.#session.writeState(parameter.name, values);
      if (this.#hasAverage) await this.#session.writeState(averageName(parameter.name), values);
    }
  }

  /** Everything that a checkpoint keeps: parameters, moments and averages. Gradients are zero between steps. */
  states(): readonly StateTensor[] {
    return this.settings.trained.flatMap(({ parameter }) =>
      this.#savedNames(parameter).map((name) => ({
        name,
        shape: parameter.shape,
        read: () => this.#session.readState(name),
      })),
    );
  }

  /** Puts back what `states` gave. @throws EmuError CHECKPOINT_CORRUPT, TENSOR_SHAPE_MISMATCH. */
  async restore(read: (name: string) => Promise<TensorData>, signal?: AbortSignal): Promise<void> {
    for (const { name } of this.states()) {
      signal?.throwIfAborted();
      await this.#session.writeState(name, await read(name));
    }
  }

  /** Sets the accumulated gradients to zero. */
  async startStep(): Promise<void> {
    await this.#zero.run({});
  }

  /**
   * Runs forward and backward on a micro-batch and adds its gradients to those of the step.
   * @throws EmuError NON_FINITE naming the op, with `check`.
   */
  async accumulate(batch: TrainingBatch, check?: 'finite'): Promise<LossTerms> {
    const executable = await this.#gradientProgram(batch.program);
    const outputs = await executable.run(batch.inputs, check === undefined ? {} : { check });
    return lossTerms(executable.program, outputs);
  }

  /** The loss of a batch, nothing else. */
  async loss(batch: TrainingBatch): Promise<LossTerms> {
    const executable = await this.#lossProgram(batch.program);
    return lossTerms(executable.program, await executable.run(batch.inputs));
  }

  /** Sums of the squares of the accumulated gradients, by parameter. */
  async gradientSquares(): Promise<ReadonlyMap<string, number>> {
    const outputs = await this.#norm.run({});
    return new Map(
      this.settings.trained.map(({ parameter: { name } }) => [
        name,
        Number(outputs[squaresOutput(name)]?.[0] ?? NaN),
      ]),
    );
  }

  /** Changes the parameters by the accumulated gradients. */
  async update({ scheduleFactor, ...numbers }: UpdateNumbers): Promise<void> {
    const inputs: Record<string, TensorData> = {};
    for (const [index, group] of this.settings.groups.entries()) {
      const learningRate = group.learningRate * scheduleFactor;
      inputs[hyperInput(index)] = adamwHyper({ ...numbers, weightDecay: group.weightDecay, learningRate });
    }
    if (this.#hasAverage) {
      inputs[averageInput] = Float32Array.of(1 - averageDecay(this.options.averageDecay, numbers.step));
    }
    await this.#update.run(inputs);
  }

  /** The weights to look at and to save: the averages where there are any. */
  get weights(): TrainedWeights {
    return {
      parameters: this.task.parameters,
      read: async (name) => {
        const parameter = this.#parameters.get(name);
        if (parameter === undefined) {
          throw new EmuError('INVALID_OPTION', `[train] ${this.task.name} has no parameter "${name}"`, {
            details: { parameter: name },
          });
        }
        if (!this.#trainedNames.has(name)) return initialValues(this.task, parameter);
        const state = this.#hasAverage ? averageName(name) : name;
        return (await this.#session.readState(state)) as Float32Array;
      },
    };
  }

  /** Bytes of weights and states. */
  get memoryBytes(): number {
    return this.#session.memoryBytes;
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
  }

  #savedNames({ name }: TrainingParameter): readonly string[] {
    const average = this.#hasAverage ? [averageName(name)] : [];
    return [name, moment1Name(name), moment2Name(name), ...average];
  }

  async #gradientProgram(key: string): Promise<Executable> {
    const known = this.#gradientPrograms.get(key);
    if (known !== undefined) return known;
    const executable = await this.#compile(gradientProgram(this.task, this.#trainedNames, key, this.options));
    this.#gradientPrograms.set(key, executable);
    return executable;
  }

  async #lossProgram(key: string): Promise<Executable> {
    const known = this.#lossPrograms.get(key);
    if (known !== undefined) return known;
    const executable = await this.#compile(lossProgram(this.task, this.#trainedNames, key));
    this.#lossPrograms.set(key, executable);
    return executable;
  }

  /** Loads the frozen weights that a program is the first to read. */
  async #compile(program: Program): Promise<Executable> {
    for (const { name, value, layout } of program.weights) {
      const key = `${layout} ${name}`;
      if (this.#loadedWeights.has(key)) continue;
      const type = program.values[value] as TensorType;
      const source = await this.task.initial(name);
      await this.#session.loadWeight({ name, ...type, layout, source });
      this.#loadedWeights.add(key);
    }
    return this.#session.compile(program);
  }
}

/** A task's program with its trained weights as states. @throws EmuError INVALID_CONFIG, see `checkProgram`. */
export function lossProgram(task: TrainedModel, trained: ReadonlySet<string>, key: string): Program {
  const program = task.program(key);
  checkProgram(task, program);
  return trainable(program, { states: (name) => trained.has(name) });
}

/** The program of forward and backward pass: gradients are added to the states `gradient.<parameter>`. */
export function gradientProgram(
  task: TrainedModel,
  trained: ReadonlySet<string>,
  key: string,
  { recompute }: Pick<TrainingSessionOptions, 'recompute'>,
): Program {
  const program = lossProgram(task, trained, key);
  const of = program.states.map(({ name }) => name).filter((name) => trained.has(name));
  return gradient(program, { loss: 'loss', of, into: 'states', recompute });
}

async function initialValues(task: TrainedModel, parameter: TrainingParameter): Promise<Float32Array> {
  const { name, shape } = parameter;
  const source = await task.initial(name);
  const tensor = await sourceTensor(name, parameter, source);
  if (!sameShape(tensor.shape, shape) || tensor.data.length !== elementCount(shape)) {
    throw new EmuError(
      'TENSOR_SHAPE_MISMATCH',
      `[train] parameter "${name}" is ${typeText({ shape, dtype: 'f32' })}, its initial values are ` +
        `${tensor.data.length} elements`,
      { details: { parameter: name, shape, elements: tensor.data.length } },
    );
  }
  return toFloat32(tensor);
}

async function sourceTensor(
  name: string,
  { shape }: TrainingParameter,
  source: WeightSource,
): Promise<TensorType & { readonly data: TensorData }> {
  if (source.kind === 'data') return { shape, dtype: source.dtype, data: source.data };
  const { path, byteOffset, dtype, strides } = source;
  return readTensor({ name, shape, dtype, file: path, byteOffset, ...(strides && { strides }) });
}

function lossTerms(program: Program, outputs: Readonly<Record<string, TensorData>>): LossTerms {
  const terms: Record<string, number> = {};
  for (const { name, value } of program.outputs) {
    const type = program.values[value];
    if (type?.dtype !== 'f32' || elementCount(type.shape) !== 1) continue;
    terms[name] = Number(outputs[name]?.[0] ?? NaN);
  }
  return terms;
}
