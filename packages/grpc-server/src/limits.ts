import { EmuError } from '@emu/program';

/** What the server accepts; a request beyond is refused before it costs anything. */
export interface Limits {
  /** Bytes of one request message; default 16 MiB. */
  readonly maxRequestBytes: number;
  /** Bytes of request messages that are not whole yet, over all calls; default 256 MiB. */
  readonly maxArrivingBytes: number;
  /** Milliseconds that a call may take to send its first message; default 60 000. */
  readonly maxArrivalMs: number;
  /** Bytes of one response message; default 1 MiB. */
  readonly maxResponseBytes: number;
  /** Bytes of one upload; default 256 MiB. */
  readonly maxUploadBytes: number;
  /** Positions of a prompt; default 0, what the model's context has. */
  readonly maxInputTokens: number;
  /** New tokens of one request; default 4096. */
  readonly maxNewTokens: number;
  /** Beams of one request; default 16. */
  readonly maxBeams: number;
  /** Pictures in one request, frames of videos included; default 64. */
  readonly maxImages: number;
  /** Pixels of one picture read; default 16 Mi. */
  readonly maxImagePixels: number;
  /** Pixels of one picture made; default 1 Mi. */
  readonly maxOutputPixels: number;
  /** Denoising steps of one picture; default 200. */
  readonly maxSteps: number;
  /** Candidates of one Score, and choices of one Generate; default 1000. */
  readonly maxCandidates: number;
  /** Calls that one connection may have open; default 256. */
  readonly maxStreams: number;
  /** Generations that may be under way or wait; more get QUEUE_FULL. Default 1024. */
  readonly maxQueued: number;
  /** Longest retention in seconds; default 600. */
  readonly maxRetentionSeconds: number;
}

export const defaultLimits: Limits = {
  maxRequestBytes: 16 * 2 ** 20,
  maxArrivingBytes: 256 * 2 ** 20,
  maxArrivalMs: 60_000,
  maxResponseBytes: 2 ** 20,
  maxUploadBytes: 256 * 2 ** 20,
  maxInputTokens: 0,
  maxNewTokens: 4096,
  maxBeams: 16,
  maxImages: 64,
  maxImagePixels: 16 * 2 ** 20,
  maxOutputPixels: 2 ** 20,
  maxSteps: 200,
  maxCandidates: 1000,
  maxStreams: 256,
  maxQueued: 1024,
  maxRetentionSeconds: 600,
};

/** Fills in the defaults. @throws EmuError INVALID_OPTION for an unknown limit or one that is no count. */
export function checkedLimits(given: Partial<Limits>): Limits {
  for (const [name, value] of Object.entries(given)) {
    const least = name === 'maxInputTokens' || name === 'maxRetentionSeconds' ? 0 : 1;
    if (
      Object.hasOwn(defaultLimits, name) &&
      Number.isSafeInteger(value) &&
      value >= least &&
      value <= 2 ** 40
    )
      continue;
    throw new EmuError(
      'INVALID_OPTION',
      `[server] ${name} must be a known limit and a whole number from ${least}, got ${String(value)}`,
      {
        hint: `The limits are ${Object.keys(defaultLimits).join(', ')}.`,
        details: { [name]: value },
      },
    );
  }
  return { ...defaultLimits, ...given };
}
