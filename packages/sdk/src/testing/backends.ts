import { EmuError, opNames, ReferenceBackend, type Backend } from '@emu/program';
import { CpuBackend } from '@emu/native';

export interface TestBackend {
  readonly name: string;
  readonly backend: Backend;
}

/**
 * The backends that a test of a whole model runs on: the reference executor, and the C++ one where it is built with
 * every op; it says so when it is not.
 */
export const testBackends: readonly TestBackend[] = [
  { name: 'reference', backend: new ReferenceBackend() },
  ...builtCpuBackend(),
];

function builtCpuBackend(): readonly TestBackend[] {
  try {
    const backend = new CpuBackend();
    const { ops } = backend.describe();
    const absent = opNames().filter((op) => !ops.includes(op));
    if (absent.length === 0) return [{ name: 'cpu', backend }];
    console.warn(`[backends] the built addon lacks ${absent.join(', ')}: models are not tested on it`);
  } catch (error) {
    if (!EmuError.isInstance(error) || error.code !== 'NATIVE_UNAVAILABLE') throw error;
    console.warn(`[backends] models are not tested on the C++ backend: ${error.message}`);
  }
  return [];
}
