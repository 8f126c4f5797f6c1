import type { Span } from '@opentelemetry/api';
import type { Metadata } from '@grpc/grpc-js';
import { EmuError } from '@emu/program';
import type { Logger } from 'pino';

import type { Caller } from '../access/caller.js';

/** What the server knows of a call before its message has been read. */
export interface CallState {
  /** The caller's `x-request-id`, or one that the server drew. In the log, in the response's metadata, in details. */
  readonly requestId: string;
  /** Full name, such as "emu.v1.GenerationService/Generate". */
  readonly method: string;
  readonly caller: Caller;
  /** Calls of one client wait in one line for the model; the lines take turns. */
  readonly client: string;
  readonly log: Logger;
  readonly span: Span;
  /** performance.now() at arrival. */
  readonly arrivedAt: number;
  /** Ends the HTTP/2 stream at once, whatever waits to be written. */
  readonly reset: () => void;
  /** Tells what ends the call when the server stops before it is over. */
  readonly onStop: (stop: (failure: EmuError) => void) => void;
  /** Facts of the call for its log line and span, filled in while it runs. */
  readonly facts: Record<string, string | number | boolean | string[]>;
}

const key = 'emu-call-state';

export function keepCallState(metadata: Metadata, state: CallState): void {
  metadata.setOpaque(key, state);
}

/** @throws EmuError INTERNAL for a call that did not come through the guard. */
export function callState(metadata: Metadata): CallState {
  const state = metadata.getOpaque(key) as CallState | undefined;
  if (state === undefined) throw new EmuError('INTERNAL', '[call] the call has not been admitted');
  return state;
}

/** A refusal that a caller does not take within this time is not going to be taken. */
export const refusalMs = 2000;
