import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmuError, type EmuErrorCode, type Shape, type TensorData } from '@emu/program';

declare const sessionBrand: unique symbol;
declare const executableBrand: unique symbol;

/** Opaque handles of the addon; each is tagged, so that one is never taken for another. */
export interface NativeSession {
  readonly [sessionBrand]: true;
}
export interface NativeExecutable {
  readonly [executableBrand]: true;
}

/** Called once, on the JavaScript thread; `code` is null when all went well. */
export type NativeCallback = (code: EmuErrorCode | null, message: string | null, result: unknown) => void;

export interface NativeWeightRequest {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: number;
  readonly layout: number;
  readonly storedDtype: number;
  readonly strides?: readonly number[];
  readonly path?: string;
  readonly byteOffset?: number;
  readonly data?: TensorData;
}

/** The functions of addon.cc. Calls that fail at once throw an Error whose `code` is an EmuErrorCode. */
export interface Addon {
  openSession(threads: number, instructionSet: string): NativeSession;
  closeSession(session: NativeSession, callback: NativeCallback): void;
  closeExecutable(executable: NativeExecutable): void;
  loadWeight(session: NativeSession, request: NativeWeightRequest, callback: NativeCallback): void;
  createState(session: NativeSession, name: string, shape: Shape, dtype: number): void;
  dropState(session: NativeSession, name: string): void;
  /** Copies `data` into the state, behind the work that was asked for before. */
  writeState(session: NativeSession, name: string, data: TensorData, callback: NativeCallback): void;
  /** Copies the state into `into`, behind the work that was asked for before. */
  readState(session: NativeSession, name: string, into: TensorData, callback: NativeCallback): void;
  memoryBytes(session: NativeSession): number;
  compile(session: NativeSession, text: string): { executable: NativeExecutable; scratchBytes: number };
  run(
    executable: NativeExecutable,
    inputs: readonly TensorData[],
    outputs: readonly TensorData[],
    cancel: Int32Array,
    checkFinite: boolean,
    profile: boolean,
    callback: NativeCallback,
  ): void;
  describe(): { instructionSet: string; cores: number; available: string[]; ops: string[] };
}

const require = createRequire(import.meta.url);
let loaded: Addon | undefined;

/**
 * Loads the addon: the package of prebuilt binaries for this platform if it is installed, else the one built in
 * this package.
 * @throws EmuError NATIVE_UNAVAILABLE that says what was tried, why each failed, and what to do.
 */
export function loadAddon(): Addon {
  loaded ??= firstThatLoads(addonCandidates());
  return loaded;
}

/** Where the addon may be, in the order of trial. */
export function addonCandidates(): readonly string[] {
  const packageRoot = findPackageRoot();
  return [
    `@emu/native-${process.platform}-${process.arch}`,
    join(packageRoot, 'build', 'Release', 'emu_native.node'),
  ];
}

/**
 * Loads the first candidate that can be loaded: package names or paths.
 * @throws EmuError NATIVE_UNAVAILABLE with the reason of each.
 */
export function firstThatLoads(candidates: readonly string[]): Addon {
  const failures: string[] = [];
  for (const candidate of candidates) {
    try {
      return require(candidate) as Addon;
    } catch (error) {
      failures.push(`${candidate}: ${reason(error)}`);
    }
  }
  throw new EmuError(
    'NATIVE_UNAVAILABLE',
    `[native] the C++ backend for ${process.platform}-${process.arch} did not load: ${failures.join('; ')}`,
    {
      hint:
        'Build it with `npm run build:native -w @emu/native` (needs CMake 3.21+ and a C++20 compiler, GCC 11+ or ' +
        'Clang 14+), or pass `device: "reference"` to run without it, slowly.',
      details: { platform: process.platform, arch: process.arch, failures },
    },
  );
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n')[0] ?? message;
}

// The sources lie in src/, the bundle in dist/: both one folder below the package.
function findPackageRoot(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return existsSync(join(here, 'package.json')) ? here : dirname(here);
}
