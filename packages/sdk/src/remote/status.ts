import { fromBinary } from '@bufbuild/protobuf';
import { status as grpcStatus, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { EmuError, errorTable, type EmuErrorCode } from '@emu/program';
import {
  BadRequestSchema,
  errorDomain,
  ErrorInfoSchema,
  RetryInfoSchema,
  StatusSchema,
  type Status,
} from '@emu/proto';

/** gRPC's numbers that a client meets without an Emu server behind them. */
const codesByStatus: Readonly<Record<number, EmuErrorCode>> = {
  1: 'CANCELLED',
  3: 'INVALID_OPTION',
  4: 'DEADLINE_EXCEEDED',
  5: 'MODEL_NOT_FOUND',
  7: 'PERMISSION_DENIED',
  8: 'RATE_LIMITED',
  12: 'UNIMPLEMENTED',
  14: 'SERVER_UNREACHABLE',
  16: 'UNAUTHENTICATED',
};

/** Why a call failed, and when it may be tried again. */
export interface CallFailure {
  readonly error: EmuError;
  /** UNAVAILABLE: the server was not reached, or turned the call away before doing anything. */
  readonly isUnavailable: boolean;
  /** Milliseconds to wait before a repeat, where the server says so. */
  readonly retryAfter: number | undefined;
}

/** The failure of a call, with the server's own code, message, hint and details where it sent them. */
export function failureOf(cause: ServiceError): CallFailure {
  const status = statusDetails(cause.metadata);
  const retryAfter = status && retryDelay(status);
  const error = status === undefined ? plainError(cause) : errorOfStatus(status, cause);
  return { error, isUnavailable: cause.code === grpcStatus.UNAVAILABLE, retryAfter };
}

/** The error that a google.rpc.Status tells of, as an Emu server sends it. */
export function errorOfStatus(status: Status, cause?: unknown): EmuError {
  let code = codesByStatus[status.code] ?? 'INTERNAL';
  let hint: string | undefined;
  const details: Record<string, unknown> = {};
  for (const { typeUrl, value } of status.details) {
    const type = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
    if (type === ErrorInfoSchema.typeName) {
      const { domain, reason, metadata } = fromBinary(ErrorInfoSchema, value);
      if (domain === errorDomain && isCode(reason)) code = reason;
      const { hint: told, ...rest } = metadata;
      hint = told ?? hint;
      Object.assign(details, rest);
    } else if (type === BadRequestSchema.typeName) {
      details['fieldViolations'] = fromBinary(BadRequestSchema, value).fieldViolations.map(
        ({ field, description }) => ({ field, description }),
      );
    }
  }
  return new EmuError(code, status.message, { details, cause, ...(hint !== undefined && { hint }) });
}

function isCode(reason: string): reason is EmuErrorCode {
  return Object.hasOwn(errorTable, reason);
}

function plainError(cause: ServiceError): EmuError {
  const code = codesByStatus[cause.code] ?? 'INTERNAL';
  const hint =
    code === 'SERVER_UNREACHABLE' ? 'Check the address, and that `emu serve` runs there.' : undefined;
  return new EmuError(code, `[remote] ${cause.details === '' ? cause.message : cause.details}`, {
    cause,
    details: { status: cause.code },
    ...(hint !== undefined && { hint }),
  });
}

/** What came in `grpc-status-details-bin`; undefined when there is nothing, or nothing readable. */
function statusDetails(metadata: Metadata | undefined): Status | undefined {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  if (!(bytes instanceof Uint8Array)) return undefined;
  try {
    return fromBinary(StatusSchema, bytes);
  } catch {
    return undefined; // a proxy's, or cut on the way; the plain status still says something
  }
}

function retryDelay(status: Status): number | undefined {
  for (const { typeUrl, value } of status.details) {
    if (!typeUrl.endsWith(`/${RetryInfoSchema.typeName}`)) continue;
    const delay = fromBinary(RetryInfoSchema, value).retryDelay;
    if (delay !== undefined) return Number(delay.seconds) * 1000 + delay.nanos / 1e6;
  }
  return undefined;
}
