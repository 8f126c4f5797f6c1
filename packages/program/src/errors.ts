/** The gRPC status names an EmuError maps to. */
export type GrpcStatus =
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'DATA_LOSS'
  | 'FAILED_PRECONDITION'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAUTHENTICATED'
  | 'PERMISSION_DENIED'
  | 'UNAVAILABLE'
  | 'ALREADY_EXISTS'
  | 'OUT_OF_RANGE'
  | 'ABORTED'
  | 'DEADLINE_EXCEEDED'
  | 'CANCELLED'
  | 'UNIMPLEMENTED'
  | 'INTERNAL';

/**
 * Every way an Emu call can fail, with the gRPC status a server answers and the exit status the command line
 * ends with. One table, so that the three never drift apart; docs/errors.md shows it to readers.
 */
export const errorTable = {
  INVALID_OPTION: { status: 'INVALID_ARGUMENT', exit: 2 },
  INVALID_PROMPT: { status: 'INVALID_ARGUMENT', exit: 2 },
  INVALID_CONFIG: { status: 'INVALID_ARGUMENT', exit: 2 },
  CONTEXT_LENGTH_EXCEEDED: { status: 'INVALID_ARGUMENT', exit: 2 },
  INVALID_IMAGE: { status: 'INVALID_ARGUMENT', exit: 3 },
  INVALID_VIDEO: { status: 'INVALID_ARGUMENT', exit: 3 },
  IMAGE_TOO_LARGE: { status: 'INVALID_ARGUMENT', exit: 3 },
  TENSOR_SHAPE_MISMATCH: { status: 'INVALID_ARGUMENT', exit: 3 },
  EMBEDDING_SPACE_MISMATCH: { status: 'INVALID_ARGUMENT', exit: 3 },
  MODEL_NOT_FOUND: { status: 'NOT_FOUND', exit: 3 },
  MEDIA_NOT_FOUND: { status: 'NOT_FOUND', exit: 3 },
  JOB_NOT_FOUND: { status: 'NOT_FOUND', exit: 3 },
  DATA_CORRUPT: { status: 'DATA_LOSS', exit: 3 },
  CHECKPOINT_CORRUPT: { status: 'DATA_LOSS', exit: 3 },
  CHECKPOINT_UNSAFE: { status: 'FAILED_PRECONDITION', exit: 3 },
  MODEL_DISPOSED: { status: 'FAILED_PRECONDITION', exit: 1 },
  MODEL_NOT_READY: { status: 'FAILED_PRECONDITION', exit: 1 },
  CAPABILITY_MISSING: { status: 'FAILED_PRECONDITION', exit: 1 },
  NATIVE_UNAVAILABLE: { status: 'FAILED_PRECONDITION', exit: 4 },
  DEVICE_UNAVAILABLE: { status: 'FAILED_PRECONDITION', exit: 4 },
  OUT_OF_MEMORY: { status: 'RESOURCE_EXHAUSTED', exit: 4 },
  QUEUE_FULL: { status: 'RESOURCE_EXHAUSTED', exit: 4 },
  MESSAGE_TOO_LARGE: { status: 'RESOURCE_EXHAUSTED', exit: 4 },
  RATE_LIMITED: { status: 'RESOURCE_EXHAUSTED', exit: 4 },
  UNAUTHENTICATED: { status: 'UNAUTHENTICATED', exit: 5 },
  PERMISSION_DENIED: { status: 'PERMISSION_DENIED', exit: 5 },
  SERVER_DRAINING: { status: 'UNAVAILABLE', exit: 5 },
  SERVER_UNREACHABLE: { status: 'UNAVAILABLE', exit: 5 },
  REQUEST_CONFLICT: { status: 'ALREADY_EXISTS', exit: 1 },
  CURSOR_EXPIRED: { status: 'OUT_OF_RANGE', exit: 1 },
  NON_FINITE: { status: 'ABORTED', exit: 1 },
  DEADLINE_EXCEEDED: { status: 'DEADLINE_EXCEEDED', exit: 124 },
  CANCELLED: { status: 'CANCELLED', exit: 130 },
  UNIMPLEMENTED: { status: 'UNIMPLEMENTED', exit: 1 },
  KERNEL_FAILURE: { status: 'INTERNAL', exit: 1 },
  INTERNAL: { status: 'INTERNAL', exit: 1 },
} as const satisfies Record<string, { status: GrpcStatus; exit: number }>;

export type EmuErrorCode = keyof typeof errorTable;

/** JSON-like values, so that `details` survives the wire and the log. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface EmuErrorOptions {
  /** What the caller can do about it, as one imperative sentence. */
  readonly hint?: string;
  /** Every dynamic value of the message, by name. */
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

const brand = Symbol.for('emu-sdk.error');

/**
 * The one error family of Emu SDK. The message starts with the place in brackets, names the bad value and the
 * limit; `hint` names the fix; `details` holds every dynamic value.
 */
export class EmuError extends Error {
  readonly code: EmuErrorCode;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;

  constructor(code: EmuErrorCode, message: string, options: EmuErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EmuError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
    Object.defineProperty(this, brand, { value: true });
  }

  /** The gRPC status a server answers with. */
  get status(): GrpcStatus {
    return errorTable[this.code].status;
  }

  /** The exit status the command line ends with. */
  get exitStatus(): number {
    return errorTable[this.code].exit;
  }

  /** True for an EmuError of any loaded copy of this package. */
  static isInstance(value: unknown): value is EmuError {
    return typeof value === 'object' && value !== null && brand in value;
  }

  /** Returns the value itself when it is an EmuError, else wraps it as INTERNAL and keeps the cause. */
  static from(value: unknown): EmuError {
    if (EmuError.isInstance(value)) return value;
    const message = value instanceof Error ? value.message : String(value);
    return new EmuError('INTERNAL', message, { cause: value });
  }

  toJSON(): { code: EmuErrorCode; message: string; hint: string | undefined; details: ErrorDetails } {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }
}
