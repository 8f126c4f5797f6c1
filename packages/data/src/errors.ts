const exitStatus = {
  INVALID_OPTION: 2,
  MEDIA_NOT_FOUND: 3,
  DATA_CORRUPT: 3,
  INTERNAL: 1,
  CANCELLED: 130,
} as const;
const grpcStatus = {
  INVALID_OPTION: 'INVALID_ARGUMENT',
  MEDIA_NOT_FOUND: 'NOT_FOUND',
  DATA_CORRUPT: 'DATA_LOSS',
  INTERNAL: 'INTERNAL',
  CANCELLED: 'CANCELLED',
} as const;

/** The codes of the project's error table that data can end in. */
export type DataErrorCode = keyof typeof exitStatus;

export interface DataErrorOptions {
  /** What the caller can do about it, as one imperative sentence. */
  readonly hint?: string;
  /** Every dynamic value of the message, by name. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * The error of this package. It has the fields and the brand of the project's EmuError, so that
 * `EmuError.isInstance` is true for it, though this package imports nothing of ours.
 */
export class DataError extends Error {
  readonly code: DataErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly status: (typeof grpcStatus)[DataErrorCode];
  readonly exitStatus: number;

  constructor(code: DataErrorCode, message: string, options: DataErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EmuError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
    this.status = grpcStatus[code];
    this.exitStatus = exitStatus[code];
    Object.defineProperty(this, Symbol.for('emu-sdk.error'), { value: true });
  }

  toJSON(): {
    code: DataErrorCode;
    message: string;
    hint: string | undefined;
    details: Readonly<Record<string, unknown>>;
  } {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }
}
