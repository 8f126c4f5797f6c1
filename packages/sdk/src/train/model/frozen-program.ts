import {
  EmuError,
  type Executable,
  type Program,
  type Session,
  type TensorData,
  type WeightSource,
} from '@emu/program';

import { backendOf } from '../../node-device.js';

/** Where the values of a weight come from, by its name in programs. */
export type WeightLookup = (name: string) => WeightSource | Promise<WeightSource>;

/** A program with fixed weights in a session of its own, beside the one that trains. Dispose it when done. */
export class FrozenProgram {
  readonly #session: Session;
  readonly #executable: Executable;

  private constructor(session: Session, executable: Executable) {
    this.#session = session;
    this.#executable = executable;
  }

  /** @throws EmuError of the backend. */
  static async open(program: Program, lookup: WeightLookup): Promise<FrozenProgram> {
    const session = backendOf('cpu').openSession();
    try {
      for (const { name, value, layout } of program.weights) {
        const type = program.values[value];
        if (type === undefined)
          throw new EmuError('INTERNAL', `[train] ${program.name} has no value ${value}`);
        await session.loadWeight({ name, ...type, layout, source: await lookup(name) });
      }
      return new FrozenProgram(session, session.compile(program));
    } catch (error) {
      await session.dispose();
      throw error;
    }
  }

  /** One f32 output of a run. */
  async run(inputs: Readonly<Record<string, TensorData>>, output: string): Promise<Float32Array> {
    const data = (await this.#executable.run(inputs))[output];
    if (data instanceof Float32Array) return data;
    throw new EmuError('INTERNAL', `[train] ${this.#executable.program.name} has no f32 output ${output}`);
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }
}
