import {
  gradient,
  gradientName,
  toFloat32,
  trainable,
  zeroGradients,
  type Executable,
  type Program,
  type Session,
  type TensorData,
} from '@emu/program';
import { readTensor, type TensorEntry } from '@emu/sdk/weights';

/** A model program with its weights as states, and the program of its gradients, in a session of their own. */
export class TrainedSession {
  /** Names of the parameters, in the order of the program. */
  readonly parameters: readonly string[];
  readonly #session: Session;
  readonly #forward: Executable;
  readonly #backward: Executable;
  readonly #zero: Executable;

  private constructor(
    session: Session,
    readonly program: Program,
    differentiated: Program,
  ) {
    this.#session = session;
    this.parameters = program.states.map(({ name }) => name);
    this.#forward = session.compile(program);
    this.#backward = session.compile(differentiated);
    this.#zero = session.compile(zeroGradients(differentiated));
  }

  /** `entry` finds the checkpoint's tensor of a parameter; `of` chooses the parameters to differentiate by. */
  static async open(
    session: Session,
    forward: Program,
    entry: (name: string) => TensorEntry,
    of: (name: string) => boolean = () => true,
  ): Promise<TrainedSession> {
    const program = trainable(forward, { states: () => true });
    for (const { name, value } of program.states) {
      const shape = program.values[value]?.shape ?? [];
      session.createState(name, shape, 'f32');
      await session.writeState(name, toFloat32(await readTensor(entry(name))).slice());
      if (of(name)) session.createState(gradientName(name), shape, 'f32');
    }
    const names = program.states.map(({ name }) => name).filter(of);
    const differentiated = gradient(program, { loss: 'loss', of: names, into: 'states' });
    return new TrainedSession(session, program, differentiated);
  }

  shapeOf(parameter: string): readonly number[] {
    const state = this.program.states.find(({ name }) => name === parameter);
    return (state && this.program.values[state.value]?.shape) ?? [];
  }

  /** Outputs of the forward program. */
  run(inputs: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>> {
    return this.#forward.run(inputs);
  }

  /** Computes the gradients anew; `gradientOf` then reads them. */
  async differentiate(inputs: Readonly<Record<string, TensorData>>): Promise<void> {
    await this.#zero.run({});
    await this.#backward.run(inputs);
  }

  gradientOf(parameter: string): Promise<Float32Array> {
    return this.#read(gradientName(parameter));
  }

  valuesOf(parameter: string): Promise<Float32Array> {
    return this.#read(parameter);
  }

  /** Compiles a program over the same states, such as the optimizer's; makes those that are new. */
  compile(program: Program): Executable {
    const known = new Set([...this.parameters, ...this.parameters.map(gradientName)]);
    for (const { name, value } of program.states) {
      if (!known.has(name)) this.#session.createState(name, program.values[value]?.shape ?? [], 'f32');
    }
    return this.#session.compile(program);
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }

  async #read(state: string): Promise<Float32Array> {
    const data = await this.#session.readState(state);
    if (data instanceof Float32Array) return data;
    throw new Error(`the state ${state} is not f32`);
  }
}
