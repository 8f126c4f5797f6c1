import { CpuBackend } from '@emu/native';
import { EmuError, ReferenceBackend, type Backend } from '@emu/program';

import { openNodeFile, type NodeFile } from './weights/node-file.js';
import { readExactly } from './weights/random-access.js';

/** Where programs run: `cpu` is the C++ backend, `reference` slow plain loops in TypeScript, for comparison. */
export const devices = ['cpu', 'reference'] as const;
export type Device = (typeof devices)[number];

/**
 * The backend of a device.
 * @throws EmuError NATIVE_UNAVAILABLE when the C++ backend does not load, INVALID_OPTION for another name.
 */
export function backendOf(device: Device): Backend {
  switch (device) {
    case 'cpu':
      return new CpuBackend();
    case 'reference':
      return new ReferenceBackend({ readFile: readPart });
  }
  // Callers without types come here.
  throw new EmuError(
    'INVALID_OPTION',
    `[model] device ${JSON.stringify(device)} is none of ${devices.join(', ')}`,
    {
      details: { device },
    },
  );
}

async function readPart(path: string, byteOffset: number, byteLength: number): Promise<Uint8Array> {
  const file: NodeFile = await openNodeFile(path);
  try {
    return await readExactly(file, byteOffset, byteLength, { reader: 'weights', path }, 'a tensor');
  } finally {
    await file.close();
  }
}
