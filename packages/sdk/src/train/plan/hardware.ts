import { availableParallelism, totalmem } from 'node:os';

import { EmuError, linear, trace, type Backend } from '@emu/program';

import { nearestName } from '../../generate/option-checks.js';

/** How the tensors of training are spread over devices. */
export const shardings = ['none', 'optimizer', 'full'] as const;
export type Sharding = (typeof shardings)[number];

/** What a plan is made for. */
export interface Hardware {
  /** Devices that share each step's batch: every one runs its own micro-batches. */
  readonly gpus: number;
  /** Peak of one device in the dtype of the matrices, operations per second. */
  readonly flops: number;
  /** Bytes of one device. */
  readonly memory: number;
  /** Part of the peak that training reaches. */
  readonly efficiency: number;
  readonly sharding: Sharding;
  /** Bytes that checkpoints may take; undefined: unknown. */
  readonly disk?: number;
  /** Whether `flops` was measured with our own kernels. */
  readonly measured: boolean;
}

const keys = ['gpus', 'flops', 'memory', 'efficiency', 'sharding', 'disk'] as const;
const units: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};
// What large models reached on the paper's kind of machine; one says better if one knows better.
const usualEfficiency = 0.4;

/**
 * Hardware as a command line gives it: `gpus=128,flops=312e12,memory=80GiB`, and `efficiency` (0.4 by default), `sharding`
 * (optimizer for several devices) and `disk`.
 * @throws EmuError INVALID_OPTION naming the key and its value.
 */
export function parseHardware(text: string): Hardware {
  const given = new Map<string, string>();
  for (const part of text.split(',').filter((each) => each.trim() !== '')) {
    const [key = '', value = ''] = part.split('=').map((each) => each.trim());
    if (!keys.some((known) => known === key)) {
      const nearest = nearestName(key, keys);
      throw invalid(key, value, `one of ${keys.join(', ')}`, nearest);
    }
    given.set(key, value);
  }
  const gpus = amount('gpus', given.get('gpus') ?? '1', 1);
  if (!Number.isInteger(gpus)) throw invalid('gpus', String(gpus), 'a whole number');
  const efficiency = amount('efficiency', given.get('efficiency') ?? String(usualEfficiency), 1e-6);
  if (efficiency > 1) throw invalid('efficiency', String(efficiency), 'a number of at most 1');
  const disk = given.get('disk');
  return {
    gpus,
    flops: amount('flops', given.get('flops') ?? '', 1),
    memory: amount('memory', given.get('memory') ?? '', 1),
    efficiency,
    sharding: shardingOf(given.get('sharding') ?? (gpus > 1 ? 'optimizer' : 'none')),
    ...(disk !== undefined && { disk: amount('disk', disk, 1) }),
    measured: false,
  };
}

function amount(key: string, text: string, least: number): number {
  const [, digits = '', unit = ''] = /^([\d.]+(?:e[+-]?\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const value = digits === '' ? NaN : Number(digits) * (units[unit.toUpperCase()] ?? NaN);
  if (value >= least && Number.isFinite(value)) return value;
  throw invalid(
    key,
    text,
    key === 'memory' || key === 'disk' ? 'an amount such as 80GiB' : 'a number such as 312e12',
  );
}

function shardingOf(text: string): Sharding {
  const found = shardings.find((sharding) => sharding === text);
  if (found !== undefined) return found;
  throw invalid('sharding', text, `one of ${shardings.join(', ')}`, nearestName(text, shardings));
}

function invalid(key: string, value: string, needed: string, nearest?: string): EmuError {
  return new EmuError('INVALID_OPTION', `[hardware] ${key} ${JSON.stringify(value)} is not ${needed}`, {
    hint:
      nearest === undefined ? 'Write it as gpus=128,flops=312e12,memory=80GiB.' : `Did you mean ${nearest}?`,
    details: { key, value, nearest },
  });
}

// A product that is large enough to run at the speed of large ones, and small enough to be over at once.
const side = 768;
const tries = 3;

/** This machine: its memory, its free disk if known, and the speed of a matrix product measured on the backend. */
export async function thisMachine(
  backend: Backend,
  options: { readonly bf16: boolean; readonly disk?: number; readonly threads?: number },
): Promise<Hardware> {
  const { threads = availableParallelism() } = options;
  const session = backend.openSession({ threads });
  try {
    const dtype = options.bf16 ? 'bf16' : 'f32';
    const product = trace('product', (tracer) => {
      const x = tracer.input('x', [side, side]);
      tracer.output('y', linear(x, tracer.weight('w', [side, side], dtype)));
    });
    const data = new Float32Array(side * side).fill(0.5);
    const source = { kind: 'data', dtype: 'f32', data } as const;
    await session.loadWeight({ name: 'w', shape: [side, side], dtype, layout: 'linear', source });
    const executable = session.compile(product);
    let seconds = Infinity;
    for (let attempt = 0; attempt < tries; attempt++) {
      const start = performance.now();
      await executable.run({ x: data });
      seconds = Math.min(seconds, (performance.now() - start) / 1000);
    }
    return {
      gpus: 1,
      flops: (2 * side ** 3) / seconds,
      memory: memoryLimit(),
      // Norms, attention and the optimizer are bound by memory; measured on small models.
      efficiency: 0.5,
      sharding: 'none',
      ...(options.disk !== undefined && { disk: options.disk }),
      measured: true,
    };
  } finally {
    await session.dispose();
  }
}

/** Bytes that this process may use: the machine's, or a container's limit where there is one. */
export function memoryLimit(): number {
  const constrained = process.constrainedMemory();
  const total = totalmem();
  return constrained > 0 && constrained < total ? constrained : total;
}
